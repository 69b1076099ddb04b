"""From mesh sizes to a `jax.sharding.Mesh`."""

import math

import jax
from jax.sharding import AxisType

from t2t.errors import UserError
from t2t.parallel.mesh_config import AXES, Mesh


def mesh_shape(config: Mesh, devices: int) -> dict[str, int]:
    """Returns the size of every axis for `devices` devices, -1 filled in.

    Raises: UserError when the sizes do not multiply to the number of devices.
    """
    sizes = {axis: getattr(config, axis) for axis in AXES}
    known = math.prod(size for size in sizes.values() if size != -1)
    for axis, size in sizes.items():
        if size == -1:
            if devices % known:
                raise UserError(
                    f"config.mesh.{axis}: the other axes take {known} devices, which "
                    f"does not divide the {devices} there are"
                )
            sizes[axis] = devices // known
    if math.prod(sizes.values()) != devices:
        used = " x ".join(f"{a}={s}" for a, s in sizes.items() if s > 1) or "1"
        raise UserError(
            f"config.mesh: {used} makes {math.prod(sizes.values())} devices, but there "
            f"are {devices}; set one axis to -1 to take the rest"
        )
    return sizes


def make_mesh(config: Mesh, devices: list | None = None) -> jax.sharding.Mesh:
    """Lays the devices out in a named mesh; axes are Auto: the partitioner fills in what is free."""
    devices = jax.devices() if devices is None else devices
    sizes = mesh_shape(config, len(devices))
    return jax.make_mesh(
        tuple(sizes.values()),
        tuple(sizes),
        axis_types=(AxisType.Auto,) * len(sizes),
        devices=devices,
    )
