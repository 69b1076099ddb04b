"""One encoder with a classifier of whole texts, which reads the state of each text's [CLS]."""

from collections.abc import Callable

from t2t.losses import cross_entropy
from t2t.models.partition import join
from t2t.models.transformer import Model
from t2t.wiring.masked import at_places


def loss_function(model: Model, z_loss: float, label_smoothing: float) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    loss and metrics are sums over texts, as `single`'s over tokens (arXiv:1810.04805, section 4.1).
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        hidden, _, _ = model.forward(params, batch, dropout_key=rng)
        logits = model.pair_logits(params, at_places(hidden, batch["summaries"]))
        sums = cross_entropy(logits, batch["targets"], batch["weights"], z_loss, label_smoothing)
        return sums.pop("objective"), (sums, carry)

    return loss_fn
