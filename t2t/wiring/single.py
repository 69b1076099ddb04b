"""One network, one vocabulary loss: every objective that predicts `targets` from a batch."""

from collections.abc import Callable

from t2t.models.partition import join
from t2t.models.transformer import Model
from t2t.vocabulary_loss import Chunks, vocabulary_loss


def loss_function(
    model: Model, z_loss: float, label_smoothing: float, chunks: Chunks | None = None
) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    loss and every metric are SUMS over target tokens; `metrics["weight"]` is their count, by which
    the step divides once (over microbatches and devices). rng: dropout key, or None.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        hidden, _, _ = model.forward(params, batch, dropout_key=rng)
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
        return objective, (sums, carry)

    return loss_fn
