"""Optimizers of optax by name, with our schedules, weight decay by kind, and layers kept apart."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from t2t.training.optimizer_config import Optax, optax_arguments
from t2t.training.parameter_kinds import LAYERS, decayed, is_axes

# Their rules use the norm of a whole parameter, so the layers of a stack must not be one parameter.
_BY_NORM = ("fromage", "lamb", "lars", "novograd")


class OptaxState(NamedTuple):
    count: jax.Array  # int32 []: updates so far
    inner: Any  # optax's own state; {group: state} where the layers of stacks are kept apart


def _named(cfg: Optax, learning_rate: Callable, mask: Any) -> optax.GradientTransformation:
    function = getattr(optax, cfg.name)
    known = optax_arguments(cfg.name)
    arguments = {n: bool(v) if isinstance(known[n], bool) else v for n, v in cfg.arguments}
    parameters = inspect.signature(function).parameters
    masks = [n for n in ("mask", "weight_decay_mask") if n in parameters]
    if "weight_decay" in parameters and masks:
        return function(
            learning_rate, **arguments, weight_decay=cfg.weight_decay, **{masks[0]: mask}
        )
    chosen = function(learning_rate, **arguments)
    if not cfg.weight_decay:
        return chosen
    return optax.chain(chosen, _decoupled_decay(cfg.weight_decay, learning_rate, mask))


def _decoupled_decay(
    weight_decay: float, learning_rate: Callable, mask: Any
) -> optax.GradientTransformation:
    def update(updates, count, params=None):
        rate = learning_rate(count) * weight_decay
        updates = jax.tree.map(
            lambda u, p, decays: u - (rate * p).astype(u.dtype) if decays else u,
            updates,
            params,
            mask,
        )
        return updates, count + 1

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)


def _only(tree: Any, groups: Any, group: str) -> Any:
    """Returns the tree with None (an empty subtree) at the leaves that are not in the group."""
    return jax.tree.map(lambda x, g: x if g == group else None, tree, groups)


def optax_by_name(cfg: Optax, learning_rate: Callable, axes: Any) -> optax.GradientTransformation:
    """Returns the named transformation. Rules that use a parameter's norm are mapped over layers.

    Stacks of different depth are separate groups, since one mapped call needs one length.
    """
    mask = decayed(cfg.decay_kinds, axes)
    apart = cfg.name in _BY_NORM

    def groups_of(params):
        return jax.tree.map(
            lambda names, p: f"layers_{p.shape[0]}" if apart and names[:1] == (LAYERS,) else "all",
            axes,
            params,
            is_leaf=is_axes,
        )

    def parts(groups):
        for group in sorted(set(jax.tree.leaves(groups))):
            tx = _named(cfg, learning_rate, _only(mask, groups, group))
            stacked = group != "all"
            yield (
                group,
                jax.vmap(tx.init) if stacked else tx.init,
                jax.vmap(tx.update) if stacked else tx.update,
            )

    def init(params) -> OptaxState:
        groups = groups_of(params)
        return OptaxState(
            jnp.zeros((), jnp.int32),
            {group: start(_only(params, groups, group)) for group, start, _ in parts(groups)},
        )

    def update(gradients, state: OptaxState, params=None):
        groups = groups_of(params)
        inner, found = {}, {}
        for group, _, step in parts(groups):
            updates, inner[group] = step(
                _only(gradients, groups, group), state.inner[group], _only(params, groups, group)
            )
            found[group] = iter(jax.tree.leaves(updates))
        updates = jax.tree.map(lambda group: next(found[group]), groups)
        return updates, OptaxState(state.count + 1, inner)

    return optax.GradientTransformation(init, update)
