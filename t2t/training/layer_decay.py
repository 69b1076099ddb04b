"""Layer-wise learning-rate decay: the deeper below the output, the smaller the rate."""

import jax
import jax.numpy as jnp
import optax

from t2t.models.transformer import Model
from t2t.training.leaf_names import leaf_name


def depths(model: Model, axes: dict) -> dict:
    """Returns the depth of every parameter of `axes`, a tree of float32 arrays.

    In the order in which data flows: the embedding is 0, the encoder's layers are 1 to E, the
    decoder's E + 1 to E + D, the head E + D + 1. A stack's position bias belongs to its first
    layer, its final norm to its last. A stacked parameter has a depth a layer, [L, 1, ...]; one that
    several layers share has the first's.
    """
    encoder, decoder = model.arch.encoder_layers, model.arch.decoder_layers
    first = {"encoder": 1, "decoder": encoder + 1}
    last = {"encoder": encoder, "decoder": encoder + decoder}

    def one(path, names) -> jax.Array:
        stack, *inner = leaf_name(path).split("/")
        if stack not in first:
            before = "embedding" in stack
            return jnp.float32(0 if before else encoder + decoder + 1)
        if "layers" in inner:
            used = last[stack] + 1 - first[stack]
            stored = model.arch.layer_groups or used
            layer = first[stack] + jnp.arange(stored, dtype=jnp.float32) * (used // stored)
            return layer.reshape(-1, *[1] * (len(names) - 1))
        return jnp.float32((last if inner[0] == "final_norm" else first)[stack])

    return jax.tree_util.tree_map_with_path(one, axes, is_leaf=lambda x: isinstance(x, tuple))


def layer_decay(
    optimizer: optax.GradientTransformation, decay: float, depth: dict
) -> optax.GradientTransformation:
    """Returns the optimizer with every update (its weight decay too) x decay^(greatest - depth).

    The parameters nearest to the output keep the schedule's rate. The state is the optimizer's own.
    """
    greatest = max(float(d.max()) for d in jax.tree.leaves(depth))
    factors = jax.tree.map(lambda d: decay ** (greatest - d), depth)

    def update(gradients, state, params=None):
        updates, state = optimizer.update(gradients, state, params)
        return jax.tree.map(lambda u, f: u * f.astype(u.dtype), updates, factors), state

    return optax.GradientTransformation(optimizer.init, update)
