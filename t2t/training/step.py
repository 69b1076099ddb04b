"""One optimizer step: accumulate, clip, gate what is not finite, update.

The state is a plain dict: `params`, `frozen` (never updated), `carry` (what goes from batch to
batch, by row: [B, ...] each), `opt_state`, `step`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from t2t.training.optimizers import clip_by_global_norm, global_norm, learning_rate_of


def real_tokens(batch: dict) -> jax.Array:
    """Returns how many encoder and decoder tokens of a batch are not padding."""
    counts = []
    for side in (batch.get("encoder"), batch.get("decoder")):
        if side is not None:
            segments = side.get("segments")
            counts.append(side["tokens"].size if segments is None else jnp.sum(segments > 0))
    return jnp.asarray(sum(counts), jnp.float32)


def accumulated(loss_fn: Callable, microbatches: int) -> Callable:
    """Returns `gradients(trainable, frozen, carry, batch, rng) -> (sums, metrics, carry)`.

    `sums` are the gradients of the summed loss: not yet divided by the count of target tokens, so
    microbatches with different counts weigh as they should. Microbatch m holds rows m, m+A, ... of
    batch and carry: every device keeps its own rows.
    """
    value_and_gradient = jax.value_and_grad(loss_fn, has_aux=True)

    def once(trainable, frozen, carry, batch, rng):
        (_, (metrics, carry)), sums = value_and_gradient(trainable, frozen, carry, batch, rng)
        return sums, metrics, carry

    if microbatches == 1:
        return once

    def many(trainable, frozen, carry, batch, rng):
        split = jax.tree.map(
            lambda x: x.reshape(x.shape[0] // microbatches, microbatches, *x.shape[1:]).swapaxes(
                0, 1
            ),
            (carry, batch),
        )

        def body(state, inputs):
            index, (remembered, rows) = inputs
            total, metrics = state
            key = None if rng is None else jax.random.fold_in(rng, index)
            sums, more, remembered = once(trainable, frozen, remembered, rows, key)
            total = jax.tree.map(jnp.add, total, sums), jax.tree.map(jnp.add, metrics, more)
            return total, remembered

        first = jax.tree.map(lambda x: x[0], split)
        shapes = jax.eval_shape(once, trainable, frozen, *first, rng)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes[:2])
        total, parts = jax.lax.scan(body, zeros, (jnp.arange(microbatches), split))
        carry = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), parts)
        return *total, carry

    return many


def train_step(
    loss_fn: Callable,
    optimizer: optax.GradientTransformation,
    learning_rate: Callable,
    *,
    microbatches: int = 1,
    maximum_norm: float | None = None,
    dropout_key: jax.Array | None = None,
) -> Callable:
    """Returns `step(state, batch) -> (state, metrics)`, to be jitted with pinned shardings.

    metrics (float32 scalars): `loss` = mean negative log-likelihood per target token with nothing
    added, `z_loss`, `accuracy`, `weight` (target tokens), `grad_norm` (before clipping),
    `update_norm`, `param_norm` (after the step), `learning_rate`, `tokens` (not padding), `skipped`
    (1 where the loss, a gradient or the update was not finite: parameters and optimizer state stay
    as they were, the step is counted); and what else `loss_fn` sums, over the weight.
    """
    gradients_of = accumulated(loss_fn, microbatches)

    def step(state, batch):
        rng = None if dropout_key is None else jax.random.fold_in(dropout_key, state["step"])
        sums, metrics, carry = gradients_of(
            state["params"], state["frozen"], state["carry"], batch, rng
        )
        weight = jnp.maximum(metrics["weight"], 1.0)
        gradients = jax.tree.map(lambda g: g / weight.astype(g.dtype), sums)
        size = global_norm(gradients)
        finite = jnp.isfinite(size) & jnp.isfinite(metrics["loss"])
        if maximum_norm is not None:
            gradients = clip_by_global_norm(gradients, size, maximum_norm)
        updates, opt_state = optimizer.update(gradients, state["opt_state"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        moved = global_norm(updates)
        finite &= jnp.isfinite(moved)

        def keep(new, old):
            return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)

        new_state = {
            "params": keep(params, state["params"]),
            "frozen": state["frozen"],
            "carry": keep(carry, state["carry"]),
            "opt_state": keep(opt_state, state["opt_state"]),
            "step": state["step"] + 1,
        }
        report = {
            "loss": metrics["loss"] / weight,
            "z_loss": metrics["z_loss"] / weight,
            "accuracy": metrics["correct"] / weight,
            "weight": metrics["weight"],
            "grad_norm": size,
            "update_norm": moved,
            "param_norm": global_norm(new_state["params"]),
            "learning_rate": learning_rate_of(state["opt_state"], learning_rate),
            "skipped": 1.0 - finite,
            "tokens": real_tokens(batch),
        }
        # What else a wiring tells of, by its own name (the loss of pairs of segments).
        more = metrics.keys() - {"loss", "z_loss", "correct", "weight"}
        report |= {name: metrics[name] / weight for name in more}
        return new_state, {k: jnp.asarray(v, jnp.float32) for k, v in report.items()}

    return step


def evaluation_step(loss_fn: Callable) -> Callable:
    """Returns `step(params, frozen, carry, batch) -> (sums, carry)`, sums of loss, correct and weight;
    no dropout."""

    def step(params, frozen, carry, batch):
        _, found = loss_fn(params, frozen, carry, batch, None)
        return found

    return step
