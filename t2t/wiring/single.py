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
    beside the mean loss of a token; of such a model metrics also tell the load (see `load`).
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        hidden, _, aux = model.forward(params, batch, dropout_key=rng)
        objective, sums = predictions(model, params, hidden, batch, z_loss, label_smoothing, chunks)
        if balance and (layers := balance_losses(aux)):
            sums["balance_loss"] = sum(layers) * sums["weight"]
            objective += balance * sums["balance_loss"]
        told = {name: value * sums["weight"] for name, value in load(aux).items()}
        return objective, (sums | told, carry)

    return loss_fn


def predictions(
    model: Model,
    params: dict,
    hidden: jax.Array,
    batch: dict,
    z_loss: float,
    label_smoothing: float,
    chunks: Chunks | None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns (what is minimised, other sums over tokens) of hidden states of the batch's targets."""
    sums = vocabulary_loss(
        lambda x: model.logits(params, x),
        hidden,
        batch["targets"],
        batch["weights"],
        z_loss,
        label_smoothing,
        chunks,
    )
    return sums.pop("objective"), sums


def balance_losses(aux: dict) -> list[jax.Array]:
    """The balance loss of every layer with experts, summed over the layers of a stack: scalars."""
    return [jnp.sum(leaf) for leaf in _named(aux, "balance_loss")]


def load(aux: dict) -> dict[str, jax.Array]:
    """How evenly the experts of a model are used, as scalars; {}: it has none.

    `fullest_expert`: the largest share of a layer's tokens that ask for the same one, in the layer
    where it is largest; `dropped_tokens`: the share that none serves, mean over layers.
    """
    if not (shares := _named(aux, "shares")):
        return {}
    dropped = jnp.concatenate([jnp.ravel(leaf) for leaf in _named(aux, "dropped")])
    fullest = jnp.max(jnp.stack([jnp.max(leaf) for leaf in shares]))
    return jax.lax.stop_gradient({"fullest_expert": fullest, "dropped_tokens": jnp.mean(dropped)})


def _named(aux: dict, name: str) -> list[jax.Array]:
    leaves = jax.tree_util.tree_leaves_with_path(aux)
    return [leaf for path, leaf in leaves if path[-1].key == name]
