"""Learning rate as a function of the step, for the schedules of `schedule_config`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.training.schedule_config import Cosine, InverseSquareRoot, Linear, Schedule


def schedule(cfg: Schedule, total_steps: int) -> Callable[[jax.Array | int], jax.Array]:
    """Returns `rate(step) -> float32 []`, jittable; step counts from 0.

    Published values: InverseSquareRoot() gives 0.01 up to step 10,000, 0.005 at 40,000, 0.001 at
    1,000,000 (T5, arXiv:1910.10683 section 3.1.2). A decay_share of 0.1 multiplies that by
    (total - step) / (0.1 total) in the last tenth (Mesh TensorFlow).
    """
    warmup = cfg.warmup_steps
    share = getattr(cfg, "decay_share", 0.0)
    bottom = getattr(cfg, "decay_steps", 0) or total_steps

    def main(step):
        if isinstance(cfg, InverseSquareRoot):
            return cfg.peak * jnp.sqrt(warmup / jnp.maximum(step, warmup))
        if isinstance(cfg, Linear | Cosine):
            done = jnp.clip((step - warmup) / max(bottom - warmup, 1), 0.0, 1.0)
            left = 0.5 * (1 + jnp.cos(jnp.pi * done)) if isinstance(cfg, Cosine) else 1 - done
            return cfg.final + (cfg.peak - cfg.final) * left
        return jnp.full_like(step, cfg.peak)

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        value = main(step)
        if warmup:
            ramp = cfg.warmup_from + (1 - cfg.warmup_from) * jnp.minimum(step / warmup, 1.0)
            value = value * ramp
        if share:
            left = jnp.clip((total_steps - step) / (share * total_steps), 0.0, 1.0)
            # No branch below `final`: a run so long that the curve is already there stays there.
            value = jnp.minimum(value, cfg.final + jnp.maximum(value - cfg.final, 0.0) * left)
        return value.astype(jnp.float32)

    return rate
