"""Where the rows of a corpus of pairs stand in its token store, one pair a row or several."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from t2t.data.corpus_rows import CorpusRows, Located, nothing, rows_of_plan
from t2t.data.pair_packing import PairPlan
from t2t.errors import UserError
from t2t.objectives.config import DECODER
from t2t.objectives.implementations import Posed, implementation

# A model is not trained on, or judged by, what its vocabulary cannot spell.
MOST_UNKNOWN = 0.1
_SPELLING_SAMPLE = 1 << 20  # tokens


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs first .. last - 1 of a store, as `objective` cuts them."""

    store: object  # a TokenStore; it reads its offsets when they are first needed
    first: int
    last: int
    objective: Posed

    def __len__(self) -> int:
        return self.last - self.first

    def locate(self, pairs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns (starts, lengths) of inputs, of targets and of second texts, each int64 [E]."""
        offsets, document = self.store.offsets, 2 * (self.first + pairs)
        starts, target_starts = offsets[document], offsets[document + 1]
        lengths, target_lengths = self._cut(
            target_starts - starts, offsets[document + 2] - target_starts
        )
        return starts, lengths, target_starts, target_lengths, *nothing(pairs, -1)

    def sizes(self) -> np.ndarray:
        """Returns how many places each pair takes in encoder and targets, EOS included: [E, 2]."""
        return implementation(self.objective).sizes(self.objective, *self._cut(*self._stored().T))

    def truncated(self) -> tuple[int, int]:
        """Returns how many inputs and how many targets are too long and cut."""
        stored = self._stored()
        *inputs, targets = (stored > np.stack(self._cut(*stored.T), axis=1)).T
        return int(np.logical_or.reduce(inputs).sum()), int(targets.sum())

    def describe(self, plan: PairPlan) -> str:
        """How many there are in a plan's rows and what is cut of them, in words."""
        inputs, targets = self.truncated()
        return (
            f"{len(plan.pairs):,} examples, "
            f"{'encoder' if self.objective.suits != DECODER else 'decoder'} "
            f"{plan.encoder_fill:.2%} "
            f"and targets {plan.targets_fill:.2%} filled; {inputs:,} inputs and {targets:,} targets "
            "were too long and cut"
        )

    def pair_of(self, example: int) -> int:
        """Returns which pair of the store an example is."""
        return self.first + example

    def _cut(self, *stored: np.ndarray) -> tuple[np.ndarray, ...]:
        return implementation(self.objective).cut(self.objective, *stored)

    def _stored(self) -> np.ndarray:
        """The lengths of each pair's texts, the target's last: [P, 2 or 3]."""
        unit = self.store.unit
        return np.diff(self.store.offsets[unit * self.first : unit * self.last + 1]).reshape(
            -1, unit
        )

    def check_spelling(self, name: str, unknown: int) -> None:
        """Raises UserError where over a tenth of the inputs' or targets' tokens are `unknown`."""
        lengths, unit = self._stored(), self.store.unit
        begin = int(self.store.offsets[unit * self.first])
        end = int(self.store.offsets[unit * self.last])
        sides = np.tile([*[0] * (unit - 1), 1], len(lengths))
        side = np.repeat(sides, lengths.reshape(-1))[:_SPELLING_SAMPLE]
        is_unknown = self.store.read_flat(begin, min(end, begin + _SPELLING_SAMPLE)) == unknown
        for number, what in enumerate(("inputs", "targets")):
            found = is_unknown[side == number]
            if found.size and found.mean() > MOST_UNKNOWN:
                raise UserError(
                    f"corpus {name!r}: the vocabulary is not made for it: it cannot spell "
                    f"{found.mean():.0%} of its {what}' tokens; use a tokenizer that can"
                )


@dataclass(frozen=True, eq=False)
class PairRows(CorpusRows):
    """Rows of a plan of pairs, in a new order each epoch, or once and in the plan's order."""

    pairs: Pairs
    plan: PairPlan
    seed: int
    name: str
    once: bool = False
    paired: ClassVar[bool] = True

    @property
    def rows(self) -> int:
        return len(self.plan.rows) - 1

    def describe(self) -> str:
        return f"{super().describe()} of {self.pairs.describe(self.plan)}"

    def locate(self, numbers: np.ndarray) -> Located:
        key = None if self.once else (self.seed, self.name)
        in_row, epoch, example, number = rows_of_plan(self.plan.rows, numbers, key)
        starts, lengths, *others = self.pairs.locate(self.plan.pairs[example])
        return Located(in_row, epoch, starts, lengths, number, *others)

    def number_of(self, number: int) -> int:
        """Returns which pair of the store is the one that `Located.number` tells apart."""
        return self.pairs.pair_of(int(self.plan.pairs[number % len(self.plan.pairs)]))
