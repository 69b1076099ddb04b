import math

import numpy as np
import pytest

from t2t.monitoring.report import scale
from t2t.monitoring.report.scale import Scale


@pytest.mark.parametrize(
    "low, high, log, ticks",
    [
        (1.5, 12.5, False, [2, 4, 6, 8, 10, 12]),
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3, 4, False, [-2, 0, 2, 4]),
        (396.1, 400.2, False, [397, 398, 399, 400]),
        (1.9, 9.8, True, [2, 4, 6, 8]),
        (0.09, 21, True, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20]),
        (1e-7, 1.01, True, [1e-6, 1e-4, 1e-2, 1]),
    ],
)
def test_ticks_are_round_and_inside(low, high, log, ticks):
    np.testing.assert_allclose(Scale(low, high, log).ticks(), ticks, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("spread", [1e-9, 1e-3, 0.7, 1.0, 3.3, 12345.0, 1e12])
@pytest.mark.parametrize("offset", [0.0, 7.0])
def test_any_span_has_three_to_eight_ticks(spread, offset):
    ticks = Scale(offset * spread, (offset + 1) * spread).ticks()
    assert 3 <= len(ticks) <= 8


def test_values_stand_where_their_scale_says():
    np.testing.assert_allclose(Scale(1, 3).place(np.array([1, 1.5, 3])), [0, 0.25, 1])
    np.testing.assert_allclose(Scale(1, 100, True).place(np.array([1, 10, 100])), [0, 0.5, 1])


def test_scales_hold_every_finite_value_and_nothing_else_moves_them():
    values = np.array([2.0, np.nan, 4.0, np.inf, -np.inf])
    found = scale.linear(values)
    assert found.low == pytest.approx(1.9) and found.high == pytest.approx(4.1)
    assert scale.linear(values, zero=True).low == 0
    log = scale.logarithmic(np.array([0.0, -1.0, 0.5, 50.0, np.nan]))
    assert 0.3 < log.low < 0.5 and 50 < log.high < 70
    assert scale.logarithmic(np.array([0.0, -1.0])) is None
    for same in (np.zeros(3), np.full(3, 5.0), np.array([np.nan]), np.zeros(0)):
        flat = scale.linear(same)
        assert math.isfinite(flat.low) and flat.low < flat.high


@pytest.mark.parametrize(
    "value, short, number",
    [
        (0, "0", "0"),
        (0.25, "0.25", "0.2500"),
        (2.3, "2.3", "2.300"),
        (12345.6, "12.35k", "12,346"),
        (5000, "5k", "5,000"),
        (2.5e6, "2.5M", "2,500,000"),
        (1e-4, "1e-4", "1.00e-4"),
        (-3.25e-5, "-3.25e-5", "-3.25e-5"),
        (float("nan"), None, "nan"),
    ],
)
def test_numbers_are_written_short_on_axes_and_readable_in_legends(value, short, number):
    assert scale.number(value) == number
    assert short is None or scale.short(value) == short


@pytest.mark.parametrize(
    "last, ticks",
    [
        (30_000, [0, 10_000, 20_000, 30_000]),
        (450, [0, 100, 200, 300, 400]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
    ],
)
def test_steps_are_ticked_at_whole_numbers_that_fit_a_narrow_chart(last, ticks):
    assert scale.step_ticks(last) == ticks
