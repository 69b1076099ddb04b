"""From a configuration to an optax transformation whose state knows its own sharding.

Every state built here has `count`, the number of updates so far, from which the learning rate
follows: a restored state goes on with exactly the rate that it would have had.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from t2t.training.adafactor import Factored, adafactor, largest_two
from t2t.training.adamw import adamw
from t2t.training.leaf_names import key_name, named_leaves
from t2t.training.optax_by_name import optax_by_name
from t2t.training.optimizer_config import Adafactor, AdamW, AdamWScale, Lamb, Optimizer
from t2t.training.parameter_kinds import LAYERS
from t2t.training.state_dtype import stored


def build(cfg: Optimizer, learning_rate: Callable, axes: Any) -> optax.GradientTransformation:
    """Returns the optimizer. learning_rate(count) -> rate; `axes` is like the parameters, a tuple
    of logical names at each. Global-norm clipping is not in it: see `clip_by_global_norm`."""
    if isinstance(cfg, Adafactor):
        optimizer = adafactor(cfg, learning_rate, axes)
    elif isinstance(cfg, AdamW | AdamWScale | Lamb):
        optimizer = adamw(cfg, learning_rate, axes)
    else:
        optimizer = optax_by_name(cfg, learning_rate, axes)
    return stored(optimizer, cfg.state_dtype)


def learning_rate_of(opt_state: Any, learning_rate: Callable) -> jax.Array:
    """Returns the rate that the next update from this state uses, float32 []."""
    return learning_rate(opt_state.count)


def state_axes(optimizer: optax.GradientTransformation, param_shapes: Any, param_axes: Any) -> Any:
    """Returns a tree like the optimizer's state with a tuple of logical axis names at each array.

    An array of a parameter's shape has that parameter's axes; Adafactor's row and column means have
    them without the dimension they were averaged over; what belongs to no parameter has none.
    """
    shapes = {name: array.shape for name, array in named_leaves(param_shapes).items()}
    axes = jax.tree.structure(param_shapes).flatten_up_to(param_axes)
    known = dict(zip(shapes, zip(shapes.values(), axes, strict=True), strict=True))

    def one(path, array):
        parts = [key_name(key) for key in path]
        field = parts.pop() if isinstance(path[-1], jax.tree_util.GetAttrKey) else ""
        # The longest name that the path ends in: `kernel` may be one and `a/kernel` another.
        found = next(
            (
                known[name]
                for begin in range(len(parts))
                if (name := "/".join(parts[begin:])) in known
            ),
            None,
        )
        if found is None:
            return (None,) * array.ndim
        shape, names = found
        if field in Factored._fields:
            row, column = largest_two(shape, names)
            gone = column if field == "row" else row
            return names[:gone] + names[gone + 1 :]
        if array.shape == shape:
            return names
        return (
            (LAYERS,) if array.shape == shape[:1] and names[0] == LAYERS else (None,) * array.ndim
        )

    return jax.tree_util.tree_map_with_path(one, jax.eval_shape(optimizer.init, param_shapes))


def global_norm(tree: Any) -> jax.Array:
    """Returns the L2 norm over all leaves, in float32 at least."""
    return jnp.sqrt(
        sum(
            jnp.sum(jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32))))
            for x in jax.tree.leaves(tree)
        )
    )


def clip_by_global_norm(gradients: Any, norm: jax.Array, maximum: float) -> Any:
    """Scales gradients whose global norm is `norm` down to `maximum` where it is larger."""
    scale = jnp.where(norm > maximum, maximum / norm, 1.0)
    return jax.tree.map(lambda g: g * scale.astype(g.dtype), gradients)
