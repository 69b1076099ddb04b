"""Losses over a vocabulary, as sums: whoever knows the global count divides once."""

import functools

import jax
import jax.numpy as jnp


def cross_entropy(
    logits: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> dict[str, jax.Array]:
    """Cross-entropy of logits [..., V] against targets [...], summed with weights [...].

    Returns scalars, each a weighted sum over positions:
    `loss` -log p(target), nothing added; `z_loss` z_loss * log(Z)^2 (arXiv:1602.02410 via T5);
    `objective` what training differentiates: the smoothed cross-entropy plus `z_loss`;
    `correct` positions whose target has the largest logit (ties count); `weight` the weights.

    Label smoothing is T5X's: 1 - s on the target, s / (V - 1) on every other token, and the
    entropy of that distribution subtracted, so a perfect prediction costs 0. (MTF spreads s / V
    over all tokens and subtracts nothing.)
    """
    return _cross_entropy(logits, targets, weights, z_loss, label_smoothing)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _cross_entropy(logits, targets, weights, z_loss, label_smoothing):
    return _forward(logits, targets, weights, z_loss, label_smoothing)[0]


def _forward(logits, targets, weights, z_loss, label_smoothing):
    wide = jnp.promote_types(logits.dtype, jnp.float32)
    x = logits.astype(wide)
    weights = weights.astype(wide)
    largest = jnp.max(x, axis=-1)
    log_z = largest + jnp.log(jnp.sum(jnp.exp(x - largest[..., None]), axis=-1))
    # Compare instead of gather: one fused pass, no scatter in the gradient, and a vocabulary
    # sharded over devices needs no communication but a sum.
    target = jnp.sum(jnp.where(_is_target(x, targets), x, 0), axis=-1)
    loss = log_z - target
    objective = loss
    if label_smoothing:
        confident, other = _smoothed(label_smoothing, x.shape[-1])
        entropy = -(
            confident * jnp.log(confident) + label_smoothing * jnp.log(jnp.maximum(other, 1e-30))
        )
        rest = jnp.sum(x, axis=-1) - target
        objective = log_z - confident * target - other * rest - entropy
    extra = z_loss * jnp.square(log_z)
    sums = {
        "loss": jnp.sum(loss * weights),
        "objective": jnp.sum((objective + extra) * weights),
        "z_loss": jnp.sum(extra * weights),
        "correct": jnp.sum((target >= largest) * weights),
        "weight": jnp.sum(weights),
    }
    return sums, (logits, targets, weights, log_z)


def _backward(z_loss, label_smoothing, saved, gradients):
    """`objective`, `loss` and `z_loss` are differentiable in the logits; weights are constants."""
    logits, targets, weights, log_z = saved
    x = logits.astype(log_z.dtype)
    confident, other = _smoothed(label_smoothing, x.shape[-1])
    # Each sum's gradient is a * softmax - b * [is target] - c, with a, b, c per position.
    smoothed, plain = gradients["objective"], gradients["loss"]
    through_z = (smoothed + gradients["z_loss"]) * 2 * z_loss * log_z
    a = (smoothed + plain + through_z) * weights
    b = (smoothed * (confident - other) + plain) * weights
    probability = jnp.exp(x - log_z[..., None])
    gradient = a[..., None] * probability
    gradient = gradient - jnp.where(_is_target(x, targets), b[..., None], 0)
    if label_smoothing:
        gradient = gradient - (smoothed * other * weights)[..., None]
    return gradient.astype(logits.dtype), None, None


def _is_target(x: jax.Array, targets: jax.Array) -> jax.Array:
    return jax.lax.broadcasted_iota(targets.dtype, x.shape, x.ndim - 1) == targets[..., None]


def _smoothed(label_smoothing: float, vocabulary: int) -> tuple[float, float]:
    return 1.0 - label_smoothing, label_smoothing / (vocabulary - 1)


_cross_entropy.defvjp(_forward, _backward)


def divergence(
    logits: jax.Array, above: jax.Array, weights: jax.Array, temperature: float
) -> jax.Array:
    """KL(q || p), summed with weights [...]: q of logits `above` [..., V], p of `logits`, both divided
    by the temperature first."""
    wide = jnp.promote_types(logits.dtype, jnp.float32)
    p, q = (jax.nn.log_softmax(x.astype(wide) / temperature) for x in (logits, above))
    return jnp.sum(jnp.sum(jnp.exp(q) * (q - p), axis=-1) * weights)
