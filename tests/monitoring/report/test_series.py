import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from t2t.monitoring.report.series import kept, smoothed, window


def test_a_short_curve_keeps_every_point():
    assert kept(np.arange(50.0), 50).tolist() == list(range(50))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(101, 5000), st.integers(4, 100))
def test_thinning_keeps_the_ends_and_the_extremes_of_every_stretch(seed, count, most):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=count)
    values[generator.random(count) < 0.1] = np.nan
    chosen = kept(values, most)
    assert len(chosen) <= most + 2
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] == 0 and chosen[-1] == count - 1
    assert np.nanmax(values[chosen]) == np.nanmax(values)
    assert np.nanmin(values[chosen]) == np.nanmin(values)
    assert np.diff(chosen).max() <= 2 * math.ceil(count / (most // 2))


def test_one_spike_among_a_million_rows_stays_at_its_step():
    values = np.zeros(1_000_000)
    values[654_321] = 9.0
    values[123_456] = -9.0
    chosen = set(kept(values, 100).tolist())
    assert {654_321, 123_456} <= chosen and len(chosen) <= 102


def test_a_stretch_without_a_finite_value_stays_a_gap():
    values = np.ones(1000)
    values[400:600] = np.inf
    drawn = values[kept(values, 100)]
    assert np.count_nonzero(np.isinf(drawn)) == 10, "one for each stretch of twenty rows"


def test_smoothing_is_the_mean_of_the_window_and_leaves_out_what_is_not_finite():
    values = np.random.default_rng(0).normal(size=500)
    width = window(500)
    assert width == 21
    inside = slice(width, 500 - width)
    expected = np.convolve(values, np.ones(width) / width, "same")
    np.testing.assert_allclose(smoothed(values)[inside], expected[inside], rtol=1e-12)
    values[250] = np.nan
    found = smoothed(values)
    assert np.isnan(found[250]) and np.isfinite(np.delete(found, 250)).all()
    np.testing.assert_allclose(found[251], np.nanmean(values[241:262]), rtol=1e-12)


def test_smoothing_keeps_constants_and_short_curves():
    np.testing.assert_allclose(smoothed(np.full(300, 2.5)), 2.5)
    short = np.random.default_rng(1).normal(size=39)
    assert window(39) == 1
    np.testing.assert_allclose(smoothed(short), short, atol=1e-12)
