"""One network, one vocabulary loss: every objective that predicts `targets` from a batch."""

from collections.abc import Callable

from t2t.losses import cross_entropy
from t2t.models.partition import join
from t2t.models.transformer import Model


def loss_function(model: Model, z_loss: float, label_smoothing: float) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    loss and every metric are SUMS over target tokens; `metrics["weight"]` is their count, by which
    the step divides once (over microbatches and devices). rng: dropout key, or None.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        hidden, _, _ = model.forward(params, batch, dropout_key=rng)
        sums = cross_entropy(
            model.logits(params, hidden),
            batch["targets"],
            batch["weights"],
            z_loss,
            label_smoothing,
        )
        objective = sums.pop("objective")
        return objective, (sums, carry)

    return loss_fn
