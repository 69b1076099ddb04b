"""XLNet: queries predict tokens of a permuted text, and rows go on from a memory (arXiv:1906.08237).

The memory is the `carry` of a step: what every layer read of the last tokens of the row before, without
gradients. Rows of the batch are streams (config.data.order='streams'): row b of a step begins where row b
of the step before has been remembered, so the memory is of the very text before it, as it is published.
Nothing else of the step knows of it. (Two segments in a sample, the first only to be remembered by the
second, would keep samples apart, but costs a forward pass more for each token and remembers one
segment; the order of streams is as much a function of (seed, sample index).)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.models.partition import join
from t2t.models.transformer import Model
from t2t.models.two_stream import Memory
from t2t.vocabulary_loss import Chunks
from t2t.wiring.single import predictions


def loss_function(
    model: Model,
    z_loss: float,
    label_smoothing: float,
    memory: int = 0,
    kept: int | None = None,
    chunks: Chunks | None = None,
) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    loss and metrics are sums over predictions, as `single`'s. memory: how many tokens are remembered
    (0: `carry` is left as it is), of the first `kept` of each row (None: all).
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        side = {**batch["encoder"], "queried": batch["places"]}
        if memory:
            side["memory"] = Memory(carry["states"], carry["filled"] > 0)
        hidden, _, aux = model.forward(params, {**batch, "encoder": side}, dropout_key=rng)
        objective, sums = predictions(model, params, hidden, batch, z_loss, label_smoothing, chunks)
        if memory:
            carry = _following(carry, aux["encoder"]["read"], memory, kept)
        return objective, (sums, carry)

    return loss_fn


def answers_loss_function(
    model: Model, z_loss: float, label_smoothing: float, chunks: Chunks | None = None
) -> Callable:
    """As `loss_function`, of answers behind an input (t2t.objectives.cloze), each token of which is
    predicted from the input alone."""

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        side = asked(batch["encoder"], batch["places"], batch["weights"] > 0)
        hidden, _, _ = model.forward(params, {"encoder": side}, dropout_key=rng)
        objective, sums = predictions(model, params, hidden, batch, z_loss, label_smoothing, chunks)
        return objective, (sums, carry)

    return loss_fn


def asked(encoder: dict, places: jax.Array, there: jax.Array) -> dict:
    """The part of a batch with queries at places [B, P] that are `there` [B, P], whose contents nothing
    but themselves sees."""
    row = jnp.arange(places.shape[0])[:, None]
    ranks = jnp.zeros(encoder["tokens"].shape, jnp.int32)
    return {
        **encoder,
        "queried": places,
        "ranks": ranks.at[row, places].max(there.astype(jnp.int32)),
    }


def empty(model: Model, rows: int, memory: int) -> dict[str, jax.Array]:
    """The carry of a first step: a memory of `rows` rows with nothing in it."""
    arch = model.arch
    return {
        "states": jnp.zeros((rows, arch.encoder_layers, memory, arch.d_model), arch.dtype),
        "filled": jnp.zeros((rows, memory), jnp.int32),
    }


def _following(carry: dict, read: jax.Array, memory: int, kept: int | None) -> dict:
    """The memory behind a row of which layers read `read` [layers, B, T, E]."""
    read = jnp.moveaxis(jax.lax.stop_gradient(read), 0, 1)[:, :, :kept]
    filled = jnp.ones((read.shape[0], read.shape[2]), jnp.int32)
    return {
        "states": jnp.concatenate([carry["states"], read], axis=2)[:, :, -memory:],
        "filled": jnp.concatenate([carry["filled"], filled], axis=1)[:, -memory:],
    }
