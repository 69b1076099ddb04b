"""One network, one vocabulary loss: every objective that predicts `targets` from a batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.models.partition import join
from t2t.models.transformer import Model
from t2t.vocabulary_loss import Chunks, vocabulary_loss


def loss_function(
    model: Model,
    z_loss: float,
    label_smoothing: float,
    chunks: Chunks | None = None,
    balance: float = 0.0,
) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    loss and every metric are SUMS over target tokens; `metrics["weight"]` is their count, by which
    the step divides once (over microbatches and devices). rng: dropout key, or None. balance: of a
    model with experts, times the sum of its layers' balance losses (Fedus et al. 2021, equation 4),
    beside the mean loss of a token.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        hidden, _, aux = model.forward(params, batch, dropout_key=rng)
        sums = vocabulary_loss(
            lambda x: model.logits(params, x),
            hidden,
            batch["targets"],
            batch["weights"],
            z_loss,
            label_smoothing,
            chunks,
        )
        objective = sums.pop("objective")
        if balance and (layers := balance_losses(aux)):
            sums["balance_loss"] = sum(layers) * sums["weight"]
            objective += balance * sums["balance_loss"]
        return objective, (sums, carry)

    return loss_fn


def balance_losses(aux: dict) -> list[jax.Array]:
    """The balance loss of every layer with experts, summed over the layers of a stack: scalars."""
    leaves = jax.tree_util.tree_leaves_with_path(aux)
    return [jnp.sum(leaf) for path, leaf in leaves if path[-1].key == "balance_loss"]
