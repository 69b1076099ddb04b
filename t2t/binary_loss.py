"""The loss of yes or no, as sums: whoever knows the global count divides once."""

import jax
import jax.numpy as jnp


def binary_cross_entropy(
    logits: jax.Array, labels: jax.Array, weights: jax.Array
) -> dict[str, jax.Array]:
    """Of logits [...] of yes against labels [...] (bool), summed with weights [...].

    Returns scalars: `loss` (differentiable in the logits), `correct`, `yes` (labels that are) and
    `weight`.
    """
    x = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    # -log sigmoid(x) of a yes, -log sigmoid(-x) of a no.
    loss = jax.nn.softplus(jnp.where(labels, -x, x))
    return {
        "loss": jnp.sum(loss * weights),
        "correct": jnp.sum(((x > 0) == labels) * weights),
        "yes": jnp.sum(labels * weights),
        "weight": jnp.sum(weights),
    }
