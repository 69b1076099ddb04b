"""Pearson's and Spearman's correlation of numbers (STS-B), times 100, by SciPy.

A prediction that is no number counts as -1, as in T5. Both are undefined (NaN) where all predictions,
or all truths, are equal.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from t2t.errors import UserError
from t2t.evaluation.metrics.metric import Judged, Metric

UNPARSABLE = -1.0


def _numbers(judged: Sequence[Judged]) -> np.ndarray:
    """[truth, prediction]."""
    try:
        return np.array(
            [[one.truth, UNPARSABLE if one.value is None else one.value] for one in judged],
            np.float64,
        )
    except (TypeError, ValueError):
        raise UserError("a correlation judges numbers; the task is not `numeric`") from None


def _correlation(name: str, function: str) -> Metric:
    def scores(rows: np.ndarray) -> dict[str, float]:
        from scipy import stats

        if len(rows) < 2 or np.ptp(rows, axis=0).min() == 0:
            return {name: float("nan")}
        with warnings.catch_warnings(action="ignore"):
            return {name: 100 * float(getattr(stats, function)(rows[:, 0], rows[:, 1])[0])}

    return Metric(_numbers, scores, (name,), packages=("scipy",))


PEARSON = _correlation("pearson_corrcoef", "pearsonr")
SPEARMAN = _correlation("spearman_corrcoef", "spearmanr")
