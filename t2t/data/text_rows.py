"""Inputs that are one or two texts in a token store, for a model that tells their class."""

from dataclasses import dataclass

import numpy as np

from t2t.data.corpus_rows import nothing
from t2t.data.pair_rows import Pairs
from t2t.objectives import classes
from t2t.objectives.classes_config import Classified
from t2t.objectives.ernie_config import Relevance


@dataclass(frozen=True, eq=False)
class TextPairs(Pairs):
    """The examples first .. last - 1 of a store: a text or two, cut to fit a row together, and a label."""

    objective: Classified | Relevance

    def locate(self, pairs: np.ndarray) -> tuple[np.ndarray, ...]:
        offsets, unit = self.store.offsets, self.store.unit
        documents = unit * (self.first + pairs)[:, None] + np.arange(unit + 1)  # [E, unit + 1]
        places = offsets[documents].T
        *lengths, targets = self._cut(*np.diff(places, axis=0))
        second = (places[1], lengths[1]) if unit == 3 else nothing(pairs, -1)
        return places[0], lengths[0], places[unit - 1], targets, *second

    def sizes(self) -> np.ndarray:
        return classes.sizes(self.objective, *self._cut(*self._stored().T))
