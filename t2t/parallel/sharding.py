"""Two small mappings, logical axis -> mesh axes: one for parameters, one for activations.

Each logical axis lists its choices; the first whose size divides the dimension, and whose mesh axes
no other dimension of the same array took, wins. Those that stand first choose first. An axis may carry a unit ("heads*kv" splits only
between heads: 384 columns of 6 heads divide by 4, but a head would be cut in two).
"""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Choices = Mapping[str, tuple[tuple[str, ...], ...]]

PARAMETERS: Choices = {
    "layers": (),
    "vocab": (("tensor",),),
    "embed": (("fsdp",),),
    "heads*kv": (("tensor",),),
    "kv_heads*kv": (("tensor",),),
    "mlp": (("tensor",),),
    "heads": (("tensor",),),
    "buckets": (),
    "norm": (),
    "positions": (),
    "types": (),
    "classes": (),
    "rank": (),
    "expert": (("expert",),),
}
ACTIVATIONS: Choices = {
    # Rows are split over the experts' devices too: those exchange the tokens that experts ask for.
    "expert": (("expert",),),
    "batch": (("replica", "data", "fsdp", "expert"), ("replica", "data", "fsdp")),
    "heads": (("tensor",),),
    "mlp": (("tensor",),),
    "vocab": (("tensor",),),
    "positions": (),
    "types": (),
    # Where nothing else is split over tensor (norms, residuals, their dropout) the length is, so that
    # no device computes or keeps what another does too (arXiv:2205.05198).
    "length": (("context", "tensor"), ("context",)),
    "kv_length": (),  # keys are gathered: every query sees all of them
    "tokens": (("context",),),
    "embed": (),
}


def spec(
    names: tuple[str | None, ...],
    shape: tuple[int, ...],
    choices: Choices,
    mesh: Mesh,
    units: Mapping[str, int] | None = None,
) -> PartitionSpec:
    """Returns the PartitionSpec of an array with the given logical axis names and shape."""
    taken: set[str] = set()
    result: list = [None] * len(names)
    order = list(choices)
    named = [i for i, name in enumerate(names) if name is not None]
    for i in sorted(named, key=lambda i: order.index(names[i])):
        name, size = names[i], shape[i]
        for choice in choices[name]:
            axes = tuple(a for a in choice if mesh.shape[a] > 1)
            parts = math.prod(mesh.shape[a] for a in axes)
            divisible = (units or {}).get(name, size) % parts == 0 and size % parts == 0
            if axes and divisible and not taken & set(axes):
                taken |= set(axes)
                result[i] = axes[0] if len(axes) == 1 else axes
                break
    while result and result[-1] is None:
        result.pop()
    return PartitionSpec(*result)


def shardings(axes, shapes, mesh: Mesh, units: Mapping[str, int] | None = None):
    """Returns a NamedSharding for every array of a tree; `axes` is the same tree of name tuples."""
    return jax.tree.map(
        lambda array, names: NamedSharding(mesh, spec(names, array.shape, PARAMETERS, mesh, units)),
        shapes,
        axes,
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, array) -> NamedSharding:
    """Returns the sharding of one batch array, `[B]`, `[B, L]` or, several a row, `[B, N, L]`."""
    names = ("batch", None, "tokens") if array.ndim == 3 else ("batch", "tokens")[: array.ndim]
    return NamedSharding(mesh, spec(names, array.shape, ACTIVATIONS, mesh))


def by_row(mesh: Mesh, array) -> NamedSharding:
    """Returns the sharding of an array [B, ...] that goes with the rows of a batch."""
    names = ("batch", *[None] * (array.ndim - 1))
    return NamedSharding(mesh, spec(names, array.shape, ACTIVATIONS, mesh))


def constrainer(mesh: Mesh) -> Callable:
    """Returns `constrain(x, names)`, which pins an activation's layout by its logical axes."""
    if mesh.size == 1:
        return lambda x, names: x

    def constrain(x, names):
        return jax.lax.with_sharding_constraint(
            x, NamedSharding(mesh, spec(names, x.shape, ACTIVATIONS, mesh))
        )

    return constrain


def spreader(mesh: Mesh) -> Callable:
    """Returns `spread(x, rows)` -> [n, *x.shape]: x once for each part that rows of a batch are split
    into, laid out as they are."""

    def spread(x, rows):
        parts = spec(("batch",), (rows,), ACTIVATIONS, mesh)
        if not parts:
            return x[None]
        split = NamedSharding(mesh, PartitionSpec(*parts, *[PartitionSpec.UNCONSTRAINED] * x.ndim))
        count = math.prod(mesh.shape[axis] for axis in np.ravel(parts[0]))
        copies = jnp.broadcast_to(x, (count, *x.shape))
        return jax.lax.with_sharding_constraint(copies, split)

    return spread


def unsharded(
    axes, shapes, mesh: Mesh, units: Mapping[str, int] | None = None, least_bytes: int = 1 << 20
) -> list[tuple[str, int]]:
    """Lists (path, bytes) of the large arrays that every device holds whole though the mesh
    could split parameters."""
    if mesh.shape["fsdp"] * mesh.shape["tensor"] == 1:
        return []
    named = jax.tree_util.tree_leaves_with_path(shardings(axes, shapes, mesh, units))
    arrays = jax.tree.leaves(shapes)
    found = []
    for (path, sharding), array in zip(named, arrays, strict=True):
        size = int(np.prod(array.shape)) * array.dtype.itemsize
        if sharding.is_fully_replicated and size >= least_bytes:
            found.append(("/".join(str(k.key) for k in path), size))
    return sorted(found, key=lambda pair: -pair[1])
