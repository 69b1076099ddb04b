"""Accuracy: how many predictions are the right answer, exactly."""

from collections.abc import Sequence

import numpy as np

from t2t.evaluation.metrics.metric import Judged, Metric, answers, groups, mean_percent


def _right(one: Judged) -> bool:
    return one.value is not None and one.value in answers(one.truth)


def _matches(judged: Sequence[Judged]) -> np.ndarray:
    return np.array([[_right(one)] for one in judged], np.float64)


def _all_match(judged: Sequence[Judged]) -> np.ndarray:
    return np.array([[all(map(_right, group))] for group in groups(judged).values()], np.float64)


# Of labels and of whole texts; T5 calls the latter sequence accuracy.
ACCURACY = Metric(_matches, mean_percent("accuracy"))
SEQUENCE_ACCURACY = Metric(_matches, mean_percent("sequence_accuracy"))
# MultiRC's: the groups (questions) of which every example is right.
EXACT_MATCH = Metric(_all_match, mean_percent("exact_match"))
