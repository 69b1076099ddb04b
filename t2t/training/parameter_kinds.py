"""What a parameter is (kernel, embedding, norm, bias), from its name and its logical axes."""

from typing import Any

import jax

from t2t.training.leaf_names import leaf_name
from t2t.training.optimizer_config import ParameterKind

LAYERS = "layers"  # the axis along which equal layers are stacked: always a batch axis here


def is_axes(node: Any) -> bool:
    """Whether a node of a tree of axes is one parameter's tuple of logical names."""
    return type(node) is tuple and all(n is None or isinstance(n, str) for n in node)


def parameter_kind(name: str, axes: tuple[str | None, ...]) -> ParameterKind:
    """Returns the kind of the parameter `name` ('encoder/layers/.../kernel')."""
    last = name.rpartition("/")[2]
    if last == "bias" or "buckets" in axes:
        return "bias"
    if last == "scale" or "norm" in axes:
        return "norm"
    if last == "table":
        return "embedding"
    return "kernel"


def decayed(kinds: tuple[ParameterKind, ...], axes: Any) -> Any:
    """Returns a tree of bools like the parameters: whether each is of one of `kinds`."""
    return jax.tree_util.tree_map_with_path(
        lambda path, names: parameter_kind(leaf_name(path), names) in kinds, axes, is_leaf=is_axes
    )


def within_layer(axes: tuple[str | None, ...]) -> tuple[int, ...]:
    """Returns the dimensions of one layer's parameter: all but the stacking axis."""
    return tuple(i for i, name in enumerate(axes) if name != LAYERS)
