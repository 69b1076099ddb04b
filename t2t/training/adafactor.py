"""T5's Adafactor, layer by layer on stacked parameters.

`optax.adafactor` on a stack `[L, m, n]` clips and scales all L layers by one RMS (layers whose
parameters differ in scale then get equal updates); here the axis named "layers" is a batch axis of
everything: factoring, clipping and scale. All layers of a stack are one array operation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from t2t.training.optimizer_config import Adafactor
from t2t.training.parameter_kinds import decayed, is_axes, within_layer


class Factored(NamedTuple):
    """Decaying means of the squared gradient: over columns and over rows."""

    row: jax.Array  # the parameter's shape without its column dimension
    column: jax.Array  # the parameter's shape without its row dimension


class Whole(NamedTuple):
    """Decaying mean of the squared gradient, in the parameter's shape."""

    square: jax.Array


class AdafactorState(NamedTuple):
    count: jax.Array  # int32 []: updates so far
    second: Any  # Factored or Whole at each parameter
    momentum: Any  # like the parameters, or () without momentum


def largest_two(shape: tuple[int, ...], axes: tuple[str | None, ...]) -> tuple[int, int] | None:
    """Returns (row, column): the two largest dimensions of one layer, in order; None if under 2."""
    inner = within_layer(axes)
    if len(inner) < 2:
        return None
    row, column = sorted(sorted(inner, key=lambda i: shape[i])[-2:])
    return row, column


def factored_dims(shape, axes, cfg: Adafactor) -> tuple[int, int] | None:
    """Returns (row, column) where the second moment is factored, None where it is kept whole."""
    dims = largest_two(shape, axes) if cfg.factored else None
    if dims is None or min(shape[i] for i in dims) < cfg.min_dim_size_to_factor:
        return None
    return dims


def _rms(x: jax.Array, dims: tuple[int, ...]) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x), axis=dims, keepdims=True))


def _start(p: jax.Array, axes, cfg: Adafactor) -> Factored | Whole:
    dtype = jnp.promote_types(p.dtype, jnp.float32)
    dims = factored_dims(p.shape, axes, cfg)
    if dims is None:
        return Whole(jnp.zeros(p.shape, dtype))
    row, column = dims
    return Factored(
        jnp.zeros(p.shape[:column] + p.shape[column + 1 :], dtype),
        jnp.zeros(p.shape[:row] + p.shape[row + 1 :], dtype),
    )


def _precondition(g, second, axes, beta, cfg: Adafactor):
    """Returns (g / sqrt(second moment), the new second moment)."""
    square = jnp.square(g) + cfg.epsilon
    dims = factored_dims(g.shape, axes, cfg)
    if dims is None:
        second = Whole(beta * second.square + (1 - beta) * square)
        return g * jax.lax.rsqrt(second.square), second
    row, column = dims
    second = Factored(
        beta * second.row + (1 - beta) * jnp.mean(square, axis=column),
        beta * second.column + (1 - beta) * jnp.mean(square, axis=row),
    )
    rows = jnp.expand_dims(second.row, column)
    columns = jnp.expand_dims(second.column, row)
    return (
        g * jax.lax.rsqrt(rows / jnp.mean(rows, axis=row, keepdims=True)) * jax.lax.rsqrt(columns)
    ), second


def adafactor(cfg: Adafactor, learning_rate: Callable, axes: Any) -> optax.GradientTransformation:
    """Returns the transformation; `axes` is like the parameters, a tuple of names at each.

    Order: precondition, clip by RMS, x learning rate x parameter scale, momentum, decoupled decay
    (x learning rate; T5X has its decay rate unscaled, which with T5's 0.01 is a factor of 100).
    learning_rate(count) is called with the number of updates before this one; beta2 of update
    t = 0, 1, ... is 1 - (t + 1)^-0.8, so the first update sees only its own gradient.
    """
    decays = decayed(cfg.decay_kinds if cfg.weight_decay else (), axes)

    def init(params) -> AdafactorState:
        second = jax.tree.map(lambda names, p: _start(p, names, cfg), axes, params, is_leaf=is_axes)
        momentum = (
            ()
            if cfg.momentum is None
            else jax.tree.map(
                lambda p: jnp.zeros(p.shape, jnp.promote_types(p.dtype, jnp.float32)), params
            )
        )
        return AdafactorState(jnp.zeros((), jnp.int32), second, momentum)

    def update(gradients, state: AdafactorState, params=None):
        if params is None:
            raise ValueError("adafactor: update needs the parameters")
        beta = 1 - (state.count + 1.0) ** -cfg.decay_exponent
        rate = learning_rate(state.count)

        def one(names, g, second, p, momentum, decay):
            dtype = jnp.promote_types(p.dtype, jnp.float32)
            inner = within_layer(names)
            update, second = _precondition(g.astype(dtype), second, names, beta.astype(dtype), cfg)
            factor = -rate.astype(dtype)
            if cfg.multiply_by_parameter_scale:
                factor *= jnp.maximum(_rms(p.astype(dtype), inner), cfg.minimum_scale)
            if cfg.clipping_threshold is not None:
                factor /= jnp.maximum(1.0, _rms(update, inner) / cfg.clipping_threshold)
            update = update * factor
            if cfg.momentum is not None:
                update = momentum = cfg.momentum * momentum + (1 - cfg.momentum) * update
            if decay:
                update = update - rate.astype(dtype) * cfg.weight_decay * p.astype(dtype)
            return update.astype(p.dtype), second, momentum

        # Parameters' leaves, each with the subtree of every other tree that stands in its place.
        leaves, tree = jax.tree.flatten(params)
        momenta = (
            [None] * len(leaves) if cfg.momentum is None else tree.flatten_up_to(state.momentum)
        )
        updates, second, momentum = zip(
            *map(
                one,
                tree.flatten_up_to(axes),
                tree.flatten_up_to(gradients),
                tree.flatten_up_to(state.second),
                leaves,
                momenta,
                tree.flatten_up_to(decays),
            ),
            strict=True,
        )
        return tree.unflatten(updates), AdafactorState(
            state.count + 1,
            tree.unflatten(second),
            () if cfg.momentum is None else tree.unflatten(momentum),
        )

    return optax.GradientTransformation(init, update)
