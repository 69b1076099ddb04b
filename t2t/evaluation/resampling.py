"""How sure a score is, and whether two differ: the bootstrap, and approximate randomization.

Both need only a metric's rows: drawn again with replacement for an interval (Efron 1979, the
percentile method), exchanged between two systems for a test (Riezler and Maxwell 2005).
"""

from typing import NamedTuple

import numpy as np

from t2t.evaluation.metrics.metric import Metric


class Difference(NamedTuple):
    """One score of two systems on the same examples."""

    first: float
    second: float
    p_value: float  # of a difference at least this large between systems that do not differ


def intervals(
    metric: Metric, rows: np.ndarray, resamples: int, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """The `level` bootstrap interval (low, high) of every score of a metric's rows [N, K].

    Draws without a defined score (a correlation of equal numbers) are left out.
    """
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(resamples):
        for name, value in metric.scores(rows[generator.integers(0, len(rows), len(rows))]).items():
            drawn.setdefault(name, []).append(value)
    tails = [50 * (1 - level), 50 * (1 + level)]
    found = {}
    for name, values in drawn.items():
        defined = [value for value in values if np.isfinite(value)]
        low, high = np.percentile(defined, tails) if defined else (np.nan, np.nan)
        found[name] = (float(low), float(high))
    return found


def paired_test(
    metric: Metric, first: np.ndarray, second: np.ndarray, resamples: int, seed: int = 0
) -> dict[str, Difference]:
    """Tests the scores of two systems' rows [N, K] of the same examples, in the same order.

    Each row is exchanged with probability a half; p = (1 + as large) / (1 + resamples), two-sided.
    """
    scores = metric.scores(first), metric.scores(second)
    as_large = dict.fromkeys(scores[0], 0)
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        exchanged = generator.integers(0, 2, len(first)).astype(bool)[:, None]
        one = metric.scores(np.where(exchanged, second, first))
        other = metric.scores(np.where(exchanged, first, second))
        for name in as_large:
            seen, chance = scores[0][name] - scores[1][name], one[name] - other[name]
            # Sums in another order differ in the last bits; those are not differences.
            as_large[name] += not abs(chance) < abs(seen) - 1e-9
    return {
        name: Difference(scores[0][name], scores[1][name], (1 + count) / (1 + resamples))
        for name, count in as_large.items()
    }
