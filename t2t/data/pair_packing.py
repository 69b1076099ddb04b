"""The packing plan of pairs: which share a row, so that encoder and decoder both have room for them.

Best fit, largest first, as for running text (t2t.data.packing), but a pair has two sizes that do not
follow from each other: of the rows with room for both, the one takes it that has the least left in
the encoder, then in the decoder.
"""

import bisect
from typing import NamedTuple

import numpy as np

from t2t.data.packing import WINDOW, pack_window


class PairPlan(NamedTuple):
    """Rows of pairs. Row r holds the pairs rows[r] .. rows[r + 1] of `pairs`."""

    pairs: np.ndarray  # int64 [E]: numbers of the pairs
    rows: np.ndarray  # int64 [R + 1]
    encoder_fill: float  # share of encoder places that hold a token
    targets_fill: float


def one_a_row(sizes: np.ndarray, capacity: tuple[int, int]) -> PairPlan:
    """The plan for pairs of `sizes` [E, 2] (encoder and targets, EOS included) that share no row."""
    count = len(sizes)
    return PairPlan(np.arange(count), np.arange(count + 1), *_fill(sizes, count, capacity))


def make_plan(
    sizes: np.ndarray, capacity: tuple[int, int], seed: int, window: int = WINDOW
) -> PairPlan:
    """Packs pairs of `sizes` [E, 2] (encoder and targets, EOS included) in rows of `capacity`."""
    order, in_row = [], []
    for begin in range(0, len(sizes), window):
        # A kind is a pair of sizes: pairs of one kind are alike.
        codes, kinds = np.unique(
            sizes[begin : begin + window] @ [capacity[1] + 1, 1], return_inverse=True
        )
        needs = np.stack(np.divmod(codes, capacity[1] + 1), axis=1)

        def fit(counts: np.ndarray, needs=needs) -> list:
            return _best_fit(counts, needs, capacity)

        members, rows = pack_window(kinds, fit, seed, begin)
        order.append(members + begin)
        in_row.append(rows)
    in_rows = np.concatenate(in_row)
    return PairPlan(
        np.concatenate(order).astype(np.int64),
        np.concatenate([[0], np.cumsum(in_rows)]).astype(np.int64),
        *_fill(sizes, len(in_rows), capacity),
    )


def _fill(sizes: np.ndarray, rows: int, capacity: tuple[int, int]) -> tuple[float, float]:
    encoder, targets = sizes.sum(axis=0) / (rows * np.asarray(capacity))
    return float(encoder), float(targets)


class _Room:
    """Open rows by what they have left: sorted encoder rooms, for each its sorted targets rooms."""

    def __init__(self):
        self._encoder: list[int] = []
        self._targets: dict[int, list[int]] = {}
        self._rows: dict[tuple[int, int], list] = {}

    def put(self, left: tuple[int, int], alike: tuple) -> None:
        if left not in self._rows:
            self._rows[left] = []
            if left[0] not in self._targets:
                self._targets[left[0]] = []
                bisect.insort(self._encoder, left[0])
            bisect.insort(self._targets[left[0]], left[1])
        self._rows[left].append(alike)

    def take(self, need: tuple[int, int]) -> tuple[tuple[int, int], tuple] | None:
        """Takes like rows with the least room for `need`: (what they have left, (content, rows))."""
        for place in range(bisect.bisect_left(self._encoder, need[0]), len(self._encoder)):
            encoder = self._encoder[place]
            targets = self._targets[encoder]
            at = bisect.bisect_left(targets, need[1])
            if at < len(targets):
                left = encoder, targets[at]
                alike = self._rows[left].pop()
                if not self._rows[left]:
                    del self._rows[left], targets[at]
                    if not targets:
                        del self._targets[encoder], self._encoder[place]
                return left, alike
        return None

    def all(self) -> list:
        return [alike for group in self._rows.values() for alike in group]


def _best_fit(counts: np.ndarray, needs: np.ndarray, capacity: tuple[int, int]) -> list:
    """Packs counts [K] of pairs that need needs [K, 2]; returns as `pack_window` takes it."""
    share = needs / np.asarray(capacity)
    least = tuple(needs.min(axis=0).tolist())
    room, done = _Room(), []
    for kind in np.lexsort((-share.sum(axis=1), -share.max(axis=1))).tolist():
        need, remaining = tuple(needs[kind].tolist()), int(counts[kind])
        while remaining:
            left, (content, rows) = room.take(need) or (tuple(capacity), ((), remaining))
            copies = min(left[0] // need[0], left[1] // need[1], remaining)
            used = min(rows, remaining // copies)
            if content and rows > used:
                room.put(left, (content, rows - used))
            after = left[0] - copies * need[0], left[1] - copies * need[1]
            filled = (*content, (kind, copies)), used
            if after[0] < least[0] or after[1] < least[1]:
                done.append(filled)
            else:
                room.put(after, filled)
            remaining -= used * copies
    return done + room.all()
