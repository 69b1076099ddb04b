"""Intervals and paired tests, against SciPy's and against what is known of chance."""

import numpy as np
import pytest
from scipy import stats

from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.metrics.metric import Judged
from t2t.evaluation.resampling import intervals, paired_test

ACCURACY, PEARSON = metric("accuracy", "test"), metric("pearson_corrcoef", "test")


def right(share: float, count: int, seed: int = 0) -> np.ndarray:
    """Rows of a system that is right with probability `share`."""
    return (np.random.default_rng(seed).random(count) < share).astype(np.float64)[:, None]


def test_an_interval_is_scipys_percentile_bootstrap():
    rows = right(0.8, 200)
    low, high = intervals(ACCURACY, rows, 4000)["accuracy"]
    scipys = stats.bootstrap(
        (100 * rows[:, 0],), np.mean, n_resamples=4000, method="percentile", rng=0
    )
    # Half a percent is one example of the 200; both are draws.
    assert low == pytest.approx(scipys.confidence_interval.low, abs=0.75)
    assert high == pytest.approx(scipys.confidence_interval.high, abs=0.75)
    numbers = np.random.default_rng(1).normal(size=(80, 2)) @ np.array([[1.0, 0.7], [0.0, 0.7]])
    low, high = intervals(PEARSON, numbers, 2000)["pearson_corrcoef"]
    scipys = stats.bootstrap(
        tuple(numbers.T),
        lambda x, y: 100 * stats.pearsonr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=0,
    )
    assert low == pytest.approx(scipys.confidence_interval.low, abs=1.5)
    assert high == pytest.approx(scipys.confidence_interval.high, abs=1.5)


def test_ninety_five_intervals_of_a_hundred_hold_the_truth():
    held = 0
    for seed in range(200):
        low, high = intervals(ACCURACY, right(0.7, 150, seed), 300, seed)["accuracy"]
        held += low <= 70 <= high
    assert 181 <= held <= 199  # binomial(200, 0.95): 190 +- 3 standard deviations


def test_intervals_are_the_same_each_time_and_none_without_draws():
    rows = right(0.5, 40)
    assert intervals(ACCURACY, rows, 100) == intervals(ACCURACY, rows, 100)
    assert intervals(ACCURACY, rows, 0) == {}


def test_draws_without_a_score_are_left_out():
    """Of three numbers a draw is often one number thrice, whose correlation is undefined."""
    rows = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert intervals(PEARSON, rows, 200)["pearson_corrcoef"] == pytest.approx((100.0, 100.0))
    low, high = intervals(PEARSON, rows[:1], 20)["pearson_corrcoef"]
    assert np.isnan(low) and np.isnan(high)


def test_the_paired_test_is_scipys_permutation_test():
    first, second = right(0.8, 60, 1), right(0.6, 60, 2)
    found = paired_test(ACCURACY, first, second, 5000)["accuracy"]
    scipys = stats.permutation_test(
        (first[:, 0], second[:, 0]),
        lambda a, b: np.mean(a) - np.mean(b),
        permutation_type="samples",
        n_resamples=20_000,
    )
    assert found.first == 100 * first.mean() and found.second == 100 * second.mean()
    assert found.p_value == pytest.approx(scipys.pvalue, abs=0.02)


def test_a_metric_of_the_whole_set_is_tested_by_exchanging_rows():
    """BLEU: every one of the 2^6 exchanges, counted exactly, against the test's draws."""
    bleu = metric("bleu", "test")
    truths = [
        f"the {w} cat sat on the mat today" for w in ("big", "red", "old", "new", "wet", "fat")
    ]
    good = [t if i % 3 else t.replace("today", "now") for i, t in enumerate(truths)]
    poor = [t.replace("sat on", "is at") if i % 2 else t for i, t in enumerate(truths)]
    one, other = (
        bleu.rows([Judged(t, v) for t, v in zip(truths, values, strict=True)])
        for values in (good, poor)
    )
    seen = abs(bleu.scores(one)["bleu"] - bleu.scores(other)["bleu"])
    as_large = 0
    for code in range(64):
        swap = np.array([code >> i & 1 for i in range(6)], bool)[:, None]
        a, b = np.where(swap, other, one), np.where(swap, one, other)
        as_large += abs(bleu.scores(a)["bleu"] - bleu.scores(b)["bleu"]) >= seen - 1e-9
    found = paired_test(bleu, one, other, 4000)["bleu"]
    assert found.p_value == pytest.approx(as_large / 64, abs=0.03)


def test_equal_systems_do_not_differ_and_chance_is_rarely_significant():
    rows = right(0.5, 50)
    assert paired_test(ACCURACY, rows, rows, 99)["accuracy"].p_value == 1.0
    small = [
        paired_test(ACCURACY, right(0.5, 80, s), right(0.5, 80, 1000 + s), 199)["accuracy"].p_value
        for s in range(200)
    ]
    assert np.mean(np.array(small) <= 0.05) < 0.1
    far = paired_test(ACCURACY, right(0.9, 300, 1), right(0.5, 300, 2), 999)["accuracy"]
    assert far.p_value == 1 / 1000
