"""The packing plan: which examples share a row, so that no example crosses a document.

A document longer than a row is cut into pieces. The pieces are packed by best fit, longest first,
on their histogram (after Krell et al. 2021, "Efficient sequence packing without cross-
contamination"): pieces of one length and rows of one content are alike, so the work grows with the
number of lengths and not of pieces. Which of the alike pieces goes where is a seeded choice.
"""

import bisect
import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from t2t.data.order import hash_of
from t2t.errors import Failure

# Part of a plan's fingerprint: raise it when the same pieces would be packed otherwise.
VERSION = 1
# Pieces packed at a time: bounds the memory of planning, without a visible effect on the fill.
WINDOW = 1 << 22


class Plan(NamedTuple):
    """Rows of examples. Row r holds examples rows[r] .. rows[r + 1] of `starts` and `lengths`."""

    starts: np.ndarray  # int64 [E]: first token, in the store
    lengths: np.ndarray  # int32 [E]: raw tokens
    rows: np.ndarray  # int64 [R + 1]
    encoder_fill: float  # share of encoder places that hold a token
    targets_fill: float
    documents_cut: int  # documents that were longer than a row
    dropped: int  # pieces of a single token, of which nothing can be masked


P = TypeVar("P", bound=tuple)


def plan_fingerprint(
    store_fingerprint: str, documents: tuple[int, int], table, capacity, seed: int
) -> str:
    """Names a plan by all that it depends on; `table` is what `make_plan` takes, of pairs their sizes [2, P]."""
    facts = hashlib.sha256(
        repr((VERSION, WINDOW, store_fingerprint, documents, capacity, seed)).encode()
    )
    for lengths in table:
        facts.update(np.asarray(lengths, "<i8").tobytes())
    return facts.hexdigest()[:32]


def cut(offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Cuts documents offsets[d] .. offsets[d + 1] into pieces of at most `length` tokens.

    Returns (starts [P], lengths [P], documents that were cut).
    """
    sizes = np.diff(offsets)
    pieces = -(-sizes // length)
    number = np.arange(int(pieces.sum())) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.repeat(offsets[:-1], pieces) + number * length
    ends = np.minimum(starts + length, np.repeat(offsets[1:], pieces))
    return starts, ends - starts, int((pieces > 1).sum())


def make_plan(
    offsets: np.ndarray,
    table: tuple[np.ndarray, np.ndarray],
    capacity: tuple[int, int],
    seed: int,
    window: int = WINDOW,
) -> Plan:
    """Packs the documents between `offsets` [D + 1].

    `table`: encoder and targets lengths [L + 1] of examples of 0..L raw tokens, non-decreasing.
    `capacity`: encoder and targets length of a row, which hold an example of L tokens.
    """
    encoder, targets = (np.asarray(lengths, np.int64) for lengths in table)
    starts, lengths, documents_cut = cut(np.asarray(offsets, np.int64), len(encoder) - 1)
    kept = lengths > 1
    dropped = int((~kept).sum())
    starts, lengths = starts[kept], lengths[kept]
    order, sizes = [], []
    for begin in range(0, len(starts), window):
        members, in_row = pack_window(
            lengths[begin : begin + window],
            lambda counts: _best_fit(counts, encoder, targets, capacity),
            seed,
            begin,
        )
        order.append(members + begin)
        sizes.append(in_row)
    chosen = np.concatenate(order) if order else np.zeros(0, np.int64)
    in_row = np.concatenate(sizes) if sizes else np.zeros(0, np.int64)
    places = max(len(in_row), 1)
    return Plan(
        starts=starts[chosen],
        lengths=lengths[chosen].astype(np.int32),
        rows=np.concatenate([[0], np.cumsum(in_row)]).astype(np.int64),
        encoder_fill=float(encoder[lengths].sum() / (places * capacity[0])),
        targets_fill=float(targets[lengths].sum() / (places * capacity[1])),
        documents_cut=documents_cut,
        dropped=dropped,
    )


def pack_window(
    kinds: np.ndarray, fit: Callable, seed: int, begin: int
) -> tuple[np.ndarray, np.ndarray]:
    """Packs pieces of `kinds` [P]; returns (pieces by row [P], pieces in each row [R]), shuffled.

    fit(pieces of each kind) returns rows, like ones together: [(((kind, copies), ...), rows), ...].
    begin: the number of the first piece, on which its luck hangs.
    """
    luck = hash_of(seed, "packing/pieces", np.arange(begin, begin + len(kinds)))
    by_kind = np.lexsort((luck, kinds))
    counts = np.bincount(kinds)
    taken = np.cumsum(counts) - counts  # next piece of each kind, as a place in by_kind
    members, in_row = [], []
    for content, rows in fit(counts):
        parts = []
        for kind, copies in content:
            first = taken[kind]
            taken[kind] += rows * copies
            parts.append(by_kind[first : taken[kind]].reshape(rows, copies))
        members.append(np.concatenate(parts, axis=1).reshape(-1))
        in_row.append(np.full(rows, len(members[-1]) // rows))
    pieces, sizes = np.concatenate(members), np.concatenate(in_row)
    rank = hash_of(seed, "packing/rows", np.arange(begin, begin + len(sizes)))
    row_order = np.argsort(rank, kind="stable")
    place = np.empty_like(row_order)
    place[row_order] = np.arange(len(row_order))
    return pieces[np.lexsort((luck[pieces], np.repeat(place, sizes)))], sizes[row_order]


def _best_fit(counts, encoder, targets, capacity):
    """Packs a histogram of lengths; returns [(((length, copies), ...), rows), ...].

    Rows of like content are one entry. Open rows are kept by the longest piece they still take.
    """
    shortest = int(np.flatnonzero(counts)[0])
    open_rows: dict[int, list] = {}
    room: list[int] = []  # sorted keys of open_rows
    done = []

    def put(content, left, rows):
        longest = (
            min(
                int(np.searchsorted(encoder, left[0], "right")),
                int(np.searchsorted(targets, left[1], "right")),
            )
            - 1
        )
        if longest < shortest:
            done.append((content, rows))
            return
        if longest not in open_rows:
            open_rows[longest] = []
            bisect.insort(room, longest)
        open_rows[longest].append((content, left, rows))

    for length in np.flatnonzero(counts)[::-1].tolist():
        remaining = int(counts[length])
        need = int(encoder[length]), int(targets[length])
        while remaining:
            at = bisect.bisect_left(room, length)
            if at < len(room):
                alike = open_rows[room[at]]
                content, left, rows = alike.pop()
                if not alike:
                    del open_rows[room.pop(at)]
            else:
                content, left, rows = (), tuple(capacity), remaining
            # Best fit fills one row as far as it goes before it turns to the next.
            copies = min(left[0] // need[0], left[1] // need[1], remaining)
            used = min(rows, remaining // copies)
            left_after = left[0] - copies * need[0], left[1] - copies * need[1]
            put((*content, (length, copies)), left_after, used)
            if content and rows > used:
                put(content, left, rows - used)
            remaining -= used * copies
    done.extend((content, rows) for alike in open_rows.values() for content, _, rows in alike)
    return done


def cached_plan(folder: str, fingerprint: str, make: Callable[[], P], kind: type[P] = Plan) -> P:
    """Returns the plan (a `kind`) kept in `folder` under `fingerprint`, or makes and keeps it.

    `folder` "" or a URL keeps nothing: planning takes seconds where reading takes as long.
    A damaged file (zip checksums) is made again. Written whole, then renamed.
    """
    if not folder or "://" in folder:
        return make()
    folder = os.path.expanduser(folder)
    path = os.path.join(folder, f"packing-{fingerprint}.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return kind(*(stored[name][()] for name in kind._fields))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        plan = make()
    buffer = io.BytesIO()
    np.savez(buffer, **plan._asdict())
    try:
        _replace(path, buffer.getbuffer())
    except OSError as error:
        raise Failure(f"{path}: the packing plan cannot be kept: {error}") from error
    return plan


def _replace(path: str, content) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".packing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
