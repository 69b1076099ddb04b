"""Dropout from explicit keys."""

import jax
import jax.numpy as jnp

from t2t.models.architecture import Architecture


def dropout(
    x: jax.Array, rate: float, key: jax.Array | None, shared_axes: tuple[int, ...] = ()
) -> jax.Array:
    """Zeroes entries with probability `rate` and scales the rest; one draw along `shared_axes`.

    No key or rate 0 traces nothing at all.
    """
    if key is None or rate == 0:
        return x
    shape = [1 if i - x.ndim in shared_axes else n for i, n in enumerate(x.shape)]
    keep = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(keep, x / (1 - rate), 0)


def branch_factor(rows: int, rate: float | jax.Array, key: jax.Array, dtype: str) -> jax.Array:
    """What a layer adds to the residual of each row is multiplied by, [B, 1, 1]: 0 with probability
    `rate`, else what keeps its mean (stochastic depth, scaled in training as dropout is)."""
    keep = jax.random.bernoulli(key, 1 - rate, (rows, 1, 1))
    return jnp.where(keep, 1 / (1 - rate), 0).astype(dtype)


def split_key(key: jax.Array | None, count: int):
    """`count` keys, or as many Nones when there is none."""
    return [None] * count if key is None else jax.random.split(key, count)


def shared_axes(arch: Architecture) -> tuple[int, ...]:
    """The axes of activations along which the architecture draws once.

    T5X draws once along the length of a sequence ("broadcast"), which keeps the random bits small.
    """
    return (-2,) if arch.dropout_along_length else ()
