"""ELECTRA: a small masked language model writes over tokens, the model tells which (arXiv:2003.10555).

Parameters are {`discriminator`: ..., `generator`: ...}. What both embed tokens with stands once, among
the discriminator's, and gets the gradients of both.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.binary_loss import binary_cross_entropy
from t2t.losses import cross_entropy
from t2t.models.dropout import split_key
from t2t.models.partition import join
from t2t.models.transformer import Model, common_units
from t2t.wiring.masked import at_places, token_places

# The embedding of a network, but for the projection to its width.
SHARED = ("token_embedding", "position_embedding", "type_embedding", "embedding_norm")


def both(discriminator: Model, generator: Model) -> Model:
    """Returns the discriminator with the parameters of both; `forward` and heads take its own."""

    def pair(of_discriminator: dict, of_generator: dict) -> dict:
        own = {name: part for name, part in of_generator.items() if name not in SHARED}
        return {"discriminator": of_discriminator, "generator": own}

    def init(key: jax.Array) -> dict:
        first, second = jax.random.split(key)
        return pair(discriminator.init(first), generator.init(second))

    return discriminator._replace(
        shapes=pair(discriminator.shapes, generator.shapes),
        axes=pair(discriminator.axes, generator.axes),
        units=common_units(discriminator, generator),
        init=init,
        drops=discriminator.drops or generator.drops,
    )


def loss_function(
    discriminator: Model,
    generator: Model,
    z_loss: float,
    label_smoothing: float,
    weight: float,
) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    The mean loss of the generator's predictions plus weight times the discriminator's mean over all
    tokens, times the count of predictions. `loss` among the metrics is the generator's; beside it
    `replaced_loss`, `replaced_accuracy`, and `original_share`, the accuracy of who says that no token
    is replaced. A token that the generator guesses right counts as original (the released code).
    Samples are drawn by the batch's own numbers, so that held-out text always has the same.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        own = params["discriminator"]
        shared = {name: own[name] for name in SHARED if name in own}
        theirs = {**params["generator"], **shared}
        generator_key, discriminator_key = split_key(rng, 2)
        hidden, _, _ = generator.forward(theirs, batch, dropout_key=generator_key)
        logits = generator.logits(theirs, at_places(hidden, batch["places"]))
        sums = cross_entropy(logits, batch["targets"], batch["weights"], z_loss, label_smoothing)
        original, corrupted = _written_over(batch, jax.lax.stop_gradient(logits))
        read = {**batch["encoder"], "tokens": corrupted}
        hidden, _, _ = discriminator.forward(
            own, {**batch, "encoder": read}, dropout_key=discriminator_key
        )
        told = binary_cross_entropy(
            discriminator.replaced_logits(own, hidden), corrupted != original, token_places(read)
        )
        each = sums["weight"] / jnp.maximum(told["weight"], 1.0)
        objective = sums.pop("objective") + weight * each * told["loss"]
        sums |= {
            "replaced_loss": each * told["loss"],
            "replaced_accuracy": each * told["correct"],
            "original_share": each * (told["weight"] - told["yes"]),
        }
        return objective, (sums, carry)

    return loss_fn


def _written_over(batch: dict, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns (the text as it was, with the generator's tokens at its places), int32 [B, L]."""
    tokens, places = batch["encoder"]["tokens"], batch["places"]
    key = jax.random.fold_in(jax.random.key(0), batch["sample"][0])
    drawn = jax.random.categorical(key, logits).astype(tokens.dtype)
    predicted, row = batch["weights"] > 0, jnp.arange(tokens.shape[0])[:, None]
    shown = jnp.take_along_axis(tokens, places, axis=1)
    # Places behind the last prediction are 0, where [CLS] stays.
    original = tokens.at[row, places].set(jnp.where(predicted, batch["targets"], shown))
    return original, tokens.at[row, places].set(jnp.where(predicted, drawn, shown))
