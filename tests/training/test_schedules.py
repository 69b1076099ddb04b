"""Learning rates against published values and values computed by hand."""

import jax
import numpy as np
import pytest

from t2t.errors import UserError
from t2t.training.schedule_config import Constant, Cosine, InverseSquareRoot, Linear
from t2t.training.schedules import schedule


@pytest.mark.parametrize(
    "cfg, total, values",
    [
        # T5: 1/sqrt(max(step, 10000)), no ramp.
        (
            InverseSquareRoot(),
            1_000_000,
            {
                0: 0.01,
                1: 0.01,
                9_999: 0.01,
                10_000: 0.01,
                40_000: 0.005,
                250_000: 0.002,
                1_000_000: 0.001,
            },
        ),
        # With a linear ramp to the same peak.
        (InverseSquareRoot(warmup_from=0.0), 1_000_000, {0: 0.0, 5_000: 0.005, 40_000: 0.005}),
        # Mesh TensorFlow: times (total - step) / (0.1 total) in the last tenth.
        (
            InverseSquareRoot(decay_share=0.1),
            1_000_000,
            {40_000: 0.005, 900_000: 900_000**-0.5, 950_000: 0.5 * 950_000**-0.5, 1_000_000: 0.0},
        ),
        # Another peak and warm-up: 2e-3 x sqrt(100/step).
        (InverseSquareRoot(peak=2e-3, warmup_steps=100), 1000, {50: 2e-3, 400: 1e-3}),
        # T5 fine-tuning.
        (Constant(), 1000, {0: 1e-3, 1: 1e-3, 999: 1e-3}),
        # Warm-up, plateau, and 20 % of decay to a tenth.
        (
            Constant(peak=1.0, warmup_steps=10, decay_share=0.2, final=0.1),
            100,
            {0: 0.0, 5: 0.5, 10: 1.0, 80: 1.0, 90: 0.55, 100: 0.1, 120: 0.1},
        ),
        (
            Linear(peak=1.0, warmup_steps=100, final=0.2),
            1100,
            {0: 0.0, 50: 0.5, 100: 1.0, 600: 0.6, 1100: 0.2, 2000: 0.2},
        ),
        # nanoT5: LinearLR from one half over the warm-up, then half a cosine to 1e-5.
        (
            Cosine(peak=0.02, warmup_steps=10_000, warmup_from=0.5, final=1e-5),
            65_536,
            {0: 0.01, 5_000: 0.015, 10_000: 0.02, 37_768: (0.02 + 1e-5) / 2, 65_536: 1e-5},
        ),
        (Cosine(peak=1.0, warmup_steps=0), 60, {0: 1.0, 20: 0.75, 30: 0.5, 40: 0.25, 60: 0.0}),
        # Down before the run's end, where it stays, or after it.
        (
            Cosine(peak=1.0, warmup_steps=0, final=0.1, decay_steps=60),
            90,
            {0: 1.0, 30: 0.55, 60: 0.1, 75: 0.1, 90: 0.1},
        ),
        (Cosine(peak=1.0, warmup_steps=0, decay_steps=60), 40, {20: 0.75, 40: 0.25}),
    ],
)
def test_values(cfg, total, values):
    cfg.check("schedule")
    rate = jax.jit(schedule(cfg, total))
    for step, value in values.items():
        found = rate(np.int32(step))
        assert found.dtype == np.float32 and found.shape == ()
        np.testing.assert_allclose(found, value, rtol=2e-6, atol=1e-9, err_msg=str(step))


@pytest.mark.parametrize(
    "cfg, field",
    [
        (InverseSquareRoot(peak=0.0), "peak"),
        (InverseSquareRoot(warmup_steps=0), "warmup_steps"),
        (Linear(warmup_steps=-1), "warmup_steps"),
        (Cosine(final=1.0), "final"),
        (Cosine(decay_steps=1000), "decay_steps"),
        (Constant(decay_share=1.5), "decay_share"),
        (Constant(final=1e-4), "final"),
        (Linear(warmup_from=2.0), "warmup_from"),
    ],
)
def test_check_names_the_field(cfg, field):
    with pytest.raises(UserError, match=rf"^schedule\.{field}: "):
        cfg.check("schedule")
