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
        hidden, _, _ = model.forward(params, batch, dropout_key=rng)
        objective, sums = predictions(
            model,
            params,
            at_places(hidden, batch["places"]),
            batch,
            z_loss,
            label_smoothing,
            chunks,
        )
        if pair_weight:
            pairs = batch["pairs"]
            classes = model.pair_logits(params, at_places(hidden, pairs["places"]))
            of_pairs = cross_entropy(classes, pairs["targets"], pairs["weights"])
            count = jnp.maximum(of_pairs["weight"], 1.0)
            objective += pair_weight * of_pairs["objective"] / count * sums["weight"]
            sums |= {
                "pair_loss": of_pairs["loss"] / count * sums["weight"],
                "pair_accuracy": of_pairs["correct"] / count * sums["weight"],
            }
        return objective, (sums, carry)

    return loss_fn


def at_places(hidden: jax.Array, places: jax.Array) -> jax.Array:
    """The states [B, P, E] of hidden [B, L, E] at places [B, P]."""
    return jnp.take_along_axis(hidden, places[..., None], axis=1)
