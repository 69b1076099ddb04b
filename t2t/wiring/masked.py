"""One encoder that predicts what stood at some places of its input, and what a pair of segments is."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.losses import cross_entropy
from t2t.models.partition import join
from t2t.models.transformer import Model
from t2t.vocabulary_loss import Chunks
from t2t.wiring.single import predictions


def loss_function(
    model: Model,
    z_loss: float,
    label_smoothing: float,
    pair_weight: float = 0.0,
    chunks: Chunks | None = None,
) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    loss and metrics are sums over predictions, as `single`'s; `loss` among the metrics is of tokens
    alone. pair_weight: times the mean loss of the batch's pairs, beside the mean of its predictions
    (so it counts once for each of these); 0: there are no pairs.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        hidden, objective, sums = place_predictions(
            model, params, batch, rng, z_loss, label_smoothing, chunks
        )
        if pair_weight:
            pairs = batch["pairs"]
            classes = model.pair_logits(params, at_places(hidden, pairs["places"]))
            of_pairs = cross_entropy(classes, pairs["targets"], pairs["weights"])
            extra, told = beside(sums["weight"], "pair", of_pairs)
            objective, sums = objective + pair_weight * extra, sums | told
        return objective, (sums, carry)

    return loss_fn


def place_predictions(
    model: Model,
    params: dict,
    batch: dict,
    rng: jax.Array | None,
    z_loss: float,
    label_smoothing: float,
    chunks: Chunks | None,
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Returns (the states of all tokens [B, L, E], what is minimised and the other sums over the
    predictions at the batch's places)."""
    hidden, _, _ = model.forward(params, batch, dropout_key=rng)
    states = at_places(hidden, batch["places"])
    return hidden, *predictions(model, params, states, batch, z_loss, label_smoothing, chunks)


def beside(count: jax.Array, name: str, task: dict) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The means of another task, from its sums, once for each of `count` predictions: (what is
    minimised, {NAME_loss, NAME_accuracy})."""
    # The step divides by the predictions, by 1 where there are none.
    each = jnp.maximum(count, 1.0)
    of_task = jnp.maximum(task["weight"], 1.0)
    loss, correct, objective = (each * task[k] / of_task for k in ("loss", "correct", "objective"))
    return objective, {f"{name}_loss": loss, f"{name}_accuracy": correct}


def at_places(hidden: jax.Array, places: jax.Array) -> jax.Array:
    """The states [B, P, E] of hidden [B, L, E] at places [B, P]."""
    return jnp.take_along_axis(hidden, places[..., None], axis=1)


def token_places(encoder: dict) -> jax.Array:
    """Which places of rows {tokens [B, L], segments?} hold a token and no padding: bool [B, L]."""
    if "segments" in encoder:
        return encoder["segments"] > 0
    return jnp.ones(encoder["tokens"].shape, bool)
