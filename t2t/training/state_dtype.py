"""Optimizer state stored in bfloat16, rounded at random.

A moment that decays by 0.999 changes by a thousandth a step, and bfloat16 holds steps of 1/256:
rounded to the nearest it would never change again. Rounded up or down at random, in proportion to
what is cut off, it is right on average (arXiv:2010.06192).
"""

import jax
import jax.numpy as jnp
import optax
from jax import lax

from t2t.training.fingerprints import mix


def stored(optimizer: optax.GradientTransformation, dtype: str) -> optax.GradientTransformation:
    """Returns the optimizer with every array of its float32 state held as `dtype` between steps.

    It computes in the types it always had; its numbers (`count`) and its tree stay what they are.
    What is rounded up depends on the count and on the place in the array alone, not on the mesh.
    """
    if dtype == "float32":
        return optimizer

    def narrow(leaf) -> bool:
        return leaf.dtype == jnp.float32 and leaf.ndim > 0

    def init(params):
        return jax.tree.map(lambda s: s.astype(dtype) if narrow(s) else s, optimizer.init(params))

    def update(gradients, state, params=None):
        like = jax.eval_shape(optimizer.init, params)
        wide = jax.tree.map(lambda s, full: s.astype(full.dtype), state, like)
        updates, new = optimizer.update(gradients, wide, params)
        leaves, tree = jax.tree.flatten(new)
        kept = [
            rounded(leaf, _draws(leaf.shape, state.count, i)) if narrow(leaf) else leaf
            for i, leaf in enumerate(leaves)
        ]
        return updates, tree.unflatten(kept)

    return optax.GradientTransformation(init, update)


def rounded(x: jax.Array, draws: jax.Array) -> jax.Array:
    """float32 -> bfloat16, up with the probability of what is cut off. draws: uint32, uniform."""
    bits = lax.bitcast_convert_type(x, jnp.uint32) + (draws >> 16)
    cut = lax.bitcast_convert_type(bits & jnp.uint32(0xFFFF0000), jnp.float32)
    # Added to, infinity would become NaN, and a NaN may become a number.
    return jnp.where(jnp.isfinite(x), cut, x).astype(jnp.bfloat16)


def _draws(shape: tuple[int, ...], count: jax.Array, number: int) -> jax.Array:
    """Uniform uint32 of the leaf's number, the count and the place; a few operations an element."""
    place = jnp.zeros(shape, jnp.uint32)
    for i, size in enumerate(shape):
        place = place * jnp.uint32(size) + lax.broadcasted_iota(jnp.uint32, shape, i)
    seed = mix(count.astype(jnp.uint32) * jnp.uint32(0x9E3779B1) + jnp.uint32(number))
    return mix(place ^ seed)
