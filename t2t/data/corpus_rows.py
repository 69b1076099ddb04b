"""Where the rows of one corpus stand in its token store, for each of the three orders.

Every kind answers `locate(numbers)`: which examples make up the corpus's rows `numbers`, without
regard to the rows before. `rows` is their number in an epoch.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from t2t.data.order import hash_of, permute
from t2t.data.packing import Plan
from t2t.errors import UserError


class Located(NamedTuple):
    """Examples of rows [B], in the order of the rows."""

    in_row: np.ndarray  # int64 [B]: examples of each row
    epoch: np.ndarray  # int64 [B]
    starts: np.ndarray  # int64 [E]
    lengths: np.ndarray  # int64 [E]
    number: np.ndarray  # int64 [E]: differs for each example and epoch; its randomness hangs on it
    # Of pairs, where `starts` and `lengths` are the inputs'; of text 0.
    target_starts: np.ndarray  # int64 [E]
    target_lengths: np.ndarray  # int64 [E]
    # Of inputs that are two texts, where those are the first's; -1 tokens: it is one.
    second_starts: np.ndarray  # int64 [E]
    second_lengths: np.ndarray  # int64 [E]


class CorpusRows(Protocol):
    rows: int
    paired: ClassVar[bool] = False  # whether examples are pairs, not running text

    def locate(self, numbers: np.ndarray) -> Located: ...

    def backward(self, numbers: np.ndarray) -> np.ndarray:
        """Returns which of the rows are read from their last token to their first: bool [B]."""
        return np.zeros(numbers.shape, bool)

    def describe(self) -> str:
        """How many there are and what they leave out, in words."""
        return f"{self.rows:,} row{'' if self.rows == 1 else 's'} an epoch"


def token_range(store, documents: tuple[float, float]) -> tuple[int, int, int, int]:
    """Returns (first document, last + 1, first token, last + 1) of a part of a store."""
    if documents == (0.0, 1.0):
        return 0, store.num_documents, 0, store.num_tokens
    first, last = (int(share * store.num_documents) for share in documents)
    return first, last, int(store.offsets[first]), int(store.offsets[last])


@dataclass(frozen=True)
class Shuffled(CorpusRows):
    """Rows of `length` cut from tokens begin .. end, in a new order each epoch.

    Each epoch cuts at other places: its first row starts up to a row further in, so that no token
    is always the last of its row. That costs an epoch one row.
    """

    begin: int
    end: int
    length: int
    seed: int
    name: str

    @property
    def rows(self) -> int:
        return max(1, (self.end - self.begin - self.length + 1) // self.length)

    def describe(self) -> str:
        left = self.end - self.begin - self.rows * self.length
        return f"{super().describe()}; {left:,} tokens left out of each, other ones each time"

    def locate(self, numbers: np.ndarray) -> Located:
        epoch, row = np.divmod(numbers, self.rows)
        key = hash_of(self.seed, f"order/{self.name}", epoch)
        spare = self.end - self.begin - self.rows * self.length
        shift = hash_of(self.seed, f"shift/{self.name}", epoch) % np.uint64(spare + 1)
        row = permute(row, self.rows, key)
        starts = self.begin + shift.astype(np.int64) + row * self.length
        return _one_each(starts, epoch, numbers, self.length)


@dataclass(frozen=True)
class Fixed(CorpusRows):
    """Rows of `length` cut from tokens begin .. end, in place; numbers past the last are empty.

    stride: tokens by which a row begins behind the row before it.
    """

    begin: int
    end: int
    length: int
    stride: int

    @property
    def rows(self) -> int:
        return (self.end - self.begin - self.length) // self.stride + 1

    def locate(self, numbers: np.ndarray) -> Located:
        there = (numbers >= 0) & (numbers < self.rows)
        starts = self.begin + np.where(there, numbers, 0) * self.stride
        located = _one_each(starts, np.zeros_like(numbers), numbers, self.length)
        found = Located(*(part[there] for part in located))
        return found._replace(in_row=there.astype(np.int64), epoch=located.epoch)


@dataclass(frozen=True)
class Streams(CorpusRows):
    """Rows that continue each other: `lanes` equal parts, each read from its own place on.

    Number n is row n // lanes of lane n % lanes. A lane goes on into the next one, so each passes
    over the whole corpus; an epoch is the time in which all lanes together have read it once.
    stride: tokens by which a row begins behind the row before it.
    """

    begin: int
    end: int
    length: int
    lanes: int
    stride: int

    @property
    def rows(self) -> int:
        return ((self.end - self.begin - self.length) // self.stride + 1) // self.lanes * self.lanes

    def locate(self, numbers: np.ndarray) -> Located:
        step, lane = np.divmod(numbers, self.lanes)
        in_lane = self.rows // self.lanes
        chunk = (lane * in_lane + step) % self.rows
        starts = self.begin + chunk * self.stride
        return _one_each(starts, step // in_lane, numbers, self.length)


@dataclass(frozen=True)
class BothWays(CorpusRows):
    """Streams of which the second half read the corpus from its end: what the first half read, mirrored.

    forward: the first half of the lanes. Number n is of lane n % lanes, as of Streams.
    """

    forward: Streams

    @property
    def rows(self) -> int:
        return 2 * self.forward.rows

    def _lanes(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (whether backward, the number that its row has in `forward`)."""
        half = self.forward.lanes
        step, lane = np.divmod(numbers, 2 * half)
        return lane >= half, step * half + lane % half

    def backward(self, numbers: np.ndarray) -> np.ndarray:
        return self._lanes(numbers)[0]

    def locate(self, numbers: np.ndarray) -> Located:
        backward, of_forward = self._lanes(numbers)
        found = self.forward.locate(of_forward)
        mirrored = self.forward.begin + self.forward.end - found.starts - found.lengths
        return found._replace(starts=np.where(backward, mirrored, found.starts), number=numbers)


@dataclass(frozen=True)
class OnceInLanes(CorpusRows):
    """Held-out rows for models with a memory: number n is row n // lanes of lane n % lanes."""

    once: Fixed
    lanes: int
    in_lane: int

    @property
    def rows(self) -> int:
        return self.once.rows

    def locate(self, numbers: np.ndarray) -> Located:
        step, lane = np.divmod(numbers, self.lanes)
        return self.once.locate(np.where(step < self.in_lane, lane * self.in_lane + step, -1))


@dataclass(frozen=True, eq=False)
class Packed(CorpusRows):
    """Rows of a packing plan, in a new order each epoch, or once and in the plan's order."""

    plan: Plan
    seed: int
    name: str
    once: bool = False

    @property
    def rows(self) -> int:
        return len(self.plan.rows) - 1

    def describe(self) -> str:
        plan = self.plan
        return (
            f"{super().describe()} of {len(plan.starts):,} examples, encoder {plan.encoder_fill:.2%} "
            f"and targets {plan.targets_fill:.2%} filled; {plan.documents_cut:,} documents were "
            f"longer than a row and cut, {plan.dropped:,} of a single token dropped"
        )

    def locate(self, numbers: np.ndarray) -> Located:
        key = None if self.once else (self.seed, self.name)
        in_row, epoch, example, number = rows_of_plan(self.plan.rows, numbers, key)
        lengths = self.plan.lengths[example].astype(np.int64)
        starts = self.plan.starts[example]
        return Located(in_row, epoch, starts, lengths, number, *nothing(example), *nothing(example))


def rows_of_plan(
    bounds: np.ndarray, numbers: np.ndarray, key: tuple[int, str] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Finds rows `numbers` of a plan whose row r holds its examples bounds[r] .. bounds[r + 1].

    key: (seed, name) of the epochs' order; None: in the plan's order, once, and nothing after it.
    Returns (examples in each row [B], epoch [B], examples [E], their numbers in all epochs [E]).
    """
    rows = len(bounds) - 1
    if key is None:
        epoch = np.zeros_like(numbers)
        there = (numbers >= 0) & (numbers < rows)
        row = np.where(there, numbers, 0)
        in_row = np.where(there, bounds[row + 1] - bounds[row], 0)
    else:
        seed, name = key
        epoch, row = np.divmod(numbers, rows)
        row = permute(row, rows, hash_of(seed, f"order/{name}", epoch))
        in_row = bounds[row + 1] - bounds[row]
    ends = np.cumsum(in_row)
    example = np.arange(int(in_row.sum())) + np.repeat(bounds[row] - (ends - in_row), in_row)
    return in_row, epoch, example, example + np.repeat(epoch, in_row) * int(bounds[-1])


def nothing(examples: np.ndarray, length: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns (starts, lengths) of what none of the examples [E] has."""
    return np.zeros(len(examples), np.int64), np.full(len(examples), length, np.int64)


def _one_each(starts, epoch, numbers, length) -> Located:
    lengths, ones = np.full(len(numbers), length, np.int64), np.ones(len(numbers), np.int64)
    none = nothing(numbers)
    return Located(ones, epoch, starts, lengths, numbers, *none, *none)


def check_size(name: str, tokens: int, length: int) -> None:
    """Raises UserError for a corpus that does not fill one row."""
    if tokens < length:
        raise UserError(
            f"corpus {name!r}: {tokens} tokens are fewer than the {length} of one row; "
            "give more text or a smaller inputs_length"
        )
