"""Questions over contexts in a token store, as the windows in which an encoder alone reads them."""

import functools
from dataclasses import dataclass

import numpy as np

from t2t.data.corpus_rows import nothing
from t2t.data.pair_packing import PairPlan
from t2t.data.pair_rows import Pairs
from t2t.objectives import extractive_spans
from t2t.objectives.extractive_config import ADDED, ExtractiveSpans


@dataclass(frozen=True, eq=False)
class WindowedPairs(Pairs):
    """The pairs first .. last - 1 of a store, question and context each; an example is a window."""

    objective: ExtractiveSpans

    @functools.cached_property
    def windows(self) -> extractive_spans.Windows:
        """All windows, those of a pair in a row."""
        return extractive_spans.windows(self.objective, *self._stored().T)

    def __len__(self) -> int:
        return len(self.windows.pair)

    def locate(self, windows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns (starts, lengths) of questions, of windows of contexts, and of nothing, int64 [E]."""
        pair, question, begin, size = (part[windows] for part in self.windows)
        offsets, document = self.store.offsets, 2 * (self.first + pair)
        places = offsets[document], question, offsets[document + 1] + begin, size
        return *places, *nothing(windows, -1)

    def sizes(self) -> np.ndarray:
        """Returns how many tokens and predictions of a row each window takes: [W, 2]."""
        _, question, _, size = self.windows
        return np.stack([question + size + ADDED, np.full_like(size, 2)], axis=1)

    def describe(self, plan: PairPlan) -> str:
        pairs = self.last - self.first
        cut = int((self._stored()[:, 0] > self.objective.question_length).sum())
        return (
            f"windows of {pairs:,} questions over their contexts, {plan.encoder_fill:.2%} filled; "
            f"{cut:,} questions were too long and cut"
        )

    def pair_of(self, window: int) -> int:
        """Returns which pair of the store a window is of."""
        return self.first + int(self.windows.pair[window])
