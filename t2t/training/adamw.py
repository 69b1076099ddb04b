"""AdamW, and two that scale its update by each layer's parameter: nanoT5's and LAMB."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from t2t.training.optimizer_config import AdamW, AdamWScale, Lamb
from t2t.training.parameter_kinds import decayed, within_layer


class AdamState(NamedTuple):
    count: jax.Array  # int32 []: updates so far
    first: Any  # decaying mean of the gradient, like the parameters
    second: Any  # decaying mean of the squared gradient, like the parameters


def adamw(
    cfg: AdamW | AdamWScale | Lamb, learning_rate: Callable, axes: Any
) -> optax.GradientTransformation:
    """Returns the transformation: -rate x (scale x m / (sqrt(v) + epsilon) + weight_decay x p); in Lamb
    all that is in brackets x the ratio of norms, p's to its own, for the kinds that decay.

    scale is 1 in AdamW; in AdamWScale max(minimum_scale, RMS of the layer's parameter) (nanoT5,
    which adds epsilon before the bias correction and decays the already updated parameter:
    differences of the order of epsilon and of rate^2).
    """
    decays = decayed(cfg.decay_kinds if cfg.weight_decay else (), axes)
    adapts = decayed(cfg.decay_kinds if isinstance(cfg, Lamb) else (), axes)

    def init(params) -> AdamState:
        def zeros():
            return jax.tree.map(
                lambda p: jnp.zeros(p.shape, jnp.promote_types(p.dtype, jnp.float32)), params
            )

        return AdamState(jnp.zeros((), jnp.int32), zeros(), zeros())

    def update(gradients, state: AdamState, params=None):
        if params is None:
            raise ValueError("adamw: update needs the parameters")
        rate = learning_rate(state.count)
        t = state.count + 1.0
        c1, c2 = (1 - cfg.b1**t, 1 - cfg.b2**t) if cfg.bias_correction else (1.0, 1.0)

        def one(p, g, m, v, names, decay, adapt):
            dtype = jnp.promote_types(p.dtype, jnp.float32)
            g, x = g.astype(dtype), p.astype(dtype)
            m = cfg.b1 * m + (1 - cfg.b1) * g
            v = cfg.b2 * v + (1 - cfg.b2) * jnp.square(g)
            step = (m / c1) / (jnp.sqrt(v / c2) + cfg.epsilon)
            if isinstance(cfg, AdamWScale):
                rms = jnp.sqrt(jnp.mean(jnp.square(x), axis=within_layer(names), keepdims=True))
                step *= jnp.maximum(rms, cfg.minimum_scale)
            if decay:
                step += cfg.weight_decay * x
            if adapt:
                step *= _trust_ratio(x, step, within_layer(names))
            return (-rate * step).astype(p.dtype), m.astype(dtype), v.astype(dtype)

        leaves, tree = jax.tree.flatten(params)
        updates, first, second = zip(
            *map(
                one,
                leaves,
                *map(
                    tree.flatten_up_to, (gradients, state.first, state.second, axes, decays, adapts)
                ),
            ),
            strict=True,
        )
        return tree.unflatten(updates), AdamState(
            state.count + 1, tree.unflatten(first), tree.unflatten(second)
        )

    return optax.GradientTransformation(init, update)


def _trust_ratio(p: jax.Array, step: jax.Array, dimensions: tuple[int, ...]) -> jax.Array:
    """Returns norm of p / norm of its step over these dimensions, kept as 1; 1 where either is 0."""
    of_p, of_step = (
        jnp.sqrt(jnp.sum(jnp.square(x), axis=dimensions, keepdims=True)) for x in (p, step)
    )
    known = (of_p > 0) & (of_step > 0)
    return jnp.where(known, of_p / jnp.where(known, of_step, 1.0), 1.0)
