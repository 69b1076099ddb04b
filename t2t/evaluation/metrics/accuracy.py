"""Accuracy: how many predictions are the right answer, exactly."""

from collections.abc import Callable, Sequence

import numpy as np

from t2t.evaluation.metrics.metric import Judged, Metric, answers, groups


def _right(one: Judged) -> bool:
    return one.value is not None and one.value in answers(one.truth)


def _matches(judged: Sequence[Judged]) -> np.ndarray:
    return np.array([[_right(one)] for one in judged], np.float64)


def _all_match(judged: Sequence[Judged]) -> np.ndarray:
    return np.array([[all(map(_right, group))] for group in groups(judged).values()], np.float64)


def _share(name: str, rows: Callable[[Sequence[Judged]], np.ndarray]) -> Metric:
    return Metric(rows, lambda found: {name: 100 * float(found[:, 0].mean())}, (name,))


# Of labels and of whole texts; T5 calls the latter sequence accuracy.
ACCURACY = _share("accuracy", _matches)
SEQUENCE_ACCURACY = _share("sequence_accuracy", _matches)
# MultiRC's: the groups (questions) of which every example is right.
EXACT_MATCH = _share("exact_match", _all_match)
