"""One name a leaf: `params/encoder/layers/self_attention/query/kernel`, whatever the containers."""

from typing import Any

import jax


def key_name(key: Any) -> str:
    """Returns a key of a JAX key path as plain text (dict key, field name or position)."""
    for field in ("key", "name", "idx"):
        if hasattr(key, field):
            return str(getattr(key, field))
    return str(key)


def leaf_name(path: tuple[Any, ...]) -> str:
    """Returns the name of the leaf at a JAX key path, parts joined by '/'."""
    return "/".join(key_name(key) for key in path)


def named_leaves(tree: Any) -> dict[str, Any]:
    """Returns {name: leaf} in the order of `jax.tree.leaves`; empty containers have no leaves."""
    return {leaf_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
