"""One encoder that points at two places of its row: where an answer begins and where it ends."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.losses import cross_entropy
from t2t.models.partition import join
from t2t.models.transformer import Model

# The logit of a place that is none: its probability is 0 in every type, and its square is finite.
NEVER = -1e9


def loss_function(model: Model, z_loss: float) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    loss and metrics are sums over starts and ends, as `single`'s over tokens: the mean is that of the
    two cross-entropies over the places of a row that hold a token (arXiv:1810.04805, section 4.2).
    `correct` counts starts and ends that are the likeliest places.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        logits = place_logits(model, join(frozen, trainable), batch["encoder"], rng)
        sums = cross_entropy(logits, batch["targets"], batch["weights"], z_loss)
        return sums.pop("objective"), (sums, carry)

    return loss_fn


def place_logits(
    model: Model, params: dict, encoder: dict, dropout_key: jax.Array | None = None
) -> jax.Array:
    """Rows {tokens [B, L], segments, types, ...} -> logits [B, 2, L] of each place being the start, and
    the end; NEVER on padding. A model without two segment types (RoBERTa) is told of none."""
    arch = model.arch
    if arch.token_types < 2 and not arch.relative_attention:
        encoder = {name: part for name, part in encoder.items() if name != "types"}
    hidden, _, _ = model.forward(params, {"encoder": encoder}, dropout_key=dropout_key)
    logits = jnp.moveaxis(model.token_logits(params, hidden), -1, 1)
    return jnp.where(encoder["segments"][:, None] > 0, logits, NEVER)
