"""R-Drop: two dropouts of the same rows, whose predictions must agree (Liang et al. 2021)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.losses import cross_entropy
from t2t.models.parameters import wide
from t2t.models.partition import join
from t2t.models.transformer import Model


def loss_function(model: Model, z_loss: float, label_smoothing: float, weight: float) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    As `single`'s, with two passes under dropout: half the sum of their cross-entropies, and
    weight / 4 times the sum of both divergences between their predictions (the paper's equation 4,
    weight its alpha, halved so that the cross-entropy keeps its size). metrics are the means of both.
    rng must be a key: without dropout there is nothing to compare.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)

        def once(key):
            hidden, _, _ = model.forward(params, batch, dropout_key=key)
            logits = model.logits(params, hidden)
            sums = cross_entropy(
                logits, batch["targets"], batch["weights"], z_loss, label_smoothing
            )
            return logits, sums

        (first, one), (second, other) = map(once, jax.random.split(rng))
        sums = jax.tree.map(lambda a, b: (a + b) / 2, one, other)
        apart = jnp.sum(divergences(first, second) * batch["weights"])
        return sums.pop("objective") + weight / 4 * apart, (sums, carry)

    return loss_fn


def divergences(first: jax.Array, second: jax.Array) -> jax.Array:
    """KL(p || q) + KL(q || p) of the predictions of two logits [..., V]: [...]."""
    logs = [jax.nn.log_softmax(x.astype(wide(x.dtype))) for x in (first, second)]
    return jnp.sum((jnp.exp(logs[0]) - jnp.exp(logs[1])) * (logs[0] - logs[1]), axis=-1)
