"""From mesh sizes to a `jax.sharding.Mesh`."""

import collections
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType

from t2t.errors import UserError
from t2t.parallel.mesh_config import AXES, Mesh


def mesh_shape(config: Mesh, devices: int, where: str = "config.mesh") -> dict[str, int]:
    """Returns the size of every axis for `devices` devices, -1 filled in.

    Raises: UserError, about `where`, when the sizes do not multiply to the number of devices.
    """
    sizes = {axis: getattr(config, axis) for axis in AXES}
    known = math.prod(size for size in sizes.values() if size != -1)
    for axis, size in sizes.items():
        if size == -1:
            if devices % known:
                raise UserError(
                    f"{where}.{axis}: the other axes take {known} devices, which "
                    f"does not divide the {devices} there are"
                )
            sizes[axis] = devices // known
    if math.prod(sizes.values()) != devices:
        used = " x ".join(f"{a}={s}" for a, s in sizes.items() if s > 1) or "1"
        raise UserError(
            f"{where}: {used} makes {math.prod(sizes.values())} devices, but there "
            f"are {devices}; set one axis to -1 to take the rest"
        )
    return sizes


def make_mesh(
    config: Mesh, devices: list | None = None, slice_of: Callable[[Any], int] | None = None
) -> jax.sharding.Mesh:
    """Lays the devices out in a named mesh; axes are Auto: the partitioner fills in what is free.

    Within a slice neighbours on the torus are neighbours in the mesh; across slices, over the slow
    network between them, goes only `replica`. slice_of: a device's slice (default: what it says).

    Raises: UserError when the sizes do not fit the devices, or an axis other than `replica` would
    cross slices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = mesh_shape(config, len(devices))
    slice_of = slice_of or (lambda device: getattr(device, "slice_index", None) or 0)
    by_slice = collections.defaultdict(list)
    for device in devices:
        by_slice[slice_of(device)].append(device)
    if sizes["replica"] % len(by_slice):
        raise UserError(
            f"config.mesh.replica: {sizes['replica']} is not a multiple of the {len(by_slice)} slices "
            "that the devices are in; only replica crosses slices"
        )
    inside = (sizes["replica"] // len(by_slice), *list(sizes.values())[1:])
    laid = [_arranged(inside, by_slice[number]) for number in sorted(by_slice)]
    return jax.sharding.Mesh(
        np.concatenate(laid), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes)
    )


def mesh_here(config: Mesh) -> jax.sharding.Mesh | None:
    """A trained run's mesh on the devices there are, which may be more or fewer than it had: its own
    where that fits, else all of them along `data`; None where there is one device."""
    if jax.device_count() == 1:
        return None
    try:
        return make_mesh(config)
    except UserError:
        return make_mesh(Mesh())


def _arranged(shape: tuple[int, ...], devices: list) -> np.ndarray:
    """The devices of one slice as an array of `shape`, along the torus where there is one."""
    try:
        return mesh_utils.create_device_mesh(shape, devices)
    except NotImplementedError:  # an axis that is no product of torus sides
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
