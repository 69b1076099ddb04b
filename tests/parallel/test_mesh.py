"""The order of devices in a mesh: only `replica` crosses slices, neighbours are neighbours on the torus."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from t2t import run as runs
from t2t.errors import UserError
from t2t.parallel.mesh import make_mesh
from t2t.parallel.mesh_config import Mesh
from tests.tiny import get_config


def slice_of(device) -> int:
    """Two faked slices, their devices alternating."""
    return device.id % 2


def test_only_replica_crosses_slices():
    mesh = make_mesh(Mesh(replica=2, data=1, fsdp=2, tensor=2), jax.devices()[:8], slice_of)
    by_replica = mesh.devices.reshape(2, 4)
    assert [{slice_of(d) for d in row} for row in by_replica] == [{0}, {1}]


def test_several_replicas_a_slice():
    mesh = make_mesh(Mesh(replica=4, data=2), jax.devices()[:8], slice_of)
    by_replica = mesh.devices.reshape(4, 2)
    assert [{slice_of(d) for d in row} for row in by_replica] == [{0}, {0}, {1}, {1}]


@dataclasses.dataclass(frozen=True)
class Chip:
    """A TPU as jax shows it, of a slice whose ids count x first."""

    id: int
    device_kind: str
    coords: tuple[int, int, int]
    slice_index: int = 0
    platform: str = "tpu"
    core_on_chip: int = 0
    process_index: int = 0


def chips(kind: str, torus: tuple[int, int, int], slices: int = 1) -> list[Chip]:
    places = itertools.product(*(range(n) for n in (slices, *reversed(torus))))
    return [Chip(i, kind, (x, y, z), s) for i, (s, z, y, x) in enumerate(places)]


def links(one: Chip, other: Chip, torus: tuple[int, int, int]) -> int:
    """How many links of the torus are between two chips."""
    steps = zip(one.coords, other.coords, torus, strict=True)
    return sum(min((a - b) % n, (b - a) % n) for a, b, n in steps)


@pytest.mark.parametrize(
    ("kind", "torus", "config"),
    [
        ("TPU v4", (4, 4, 8), Mesh(data=4, fsdp=4, tensor=8)),
        ("TPU v4", (2, 4, 8), Mesh(data=8, fsdp=2, tensor=4)),
        ("TPU v5 lite", (4, 4, 1), Mesh(data=1, fsdp=16)),
        ("TPU v5 lite", (4, 8, 1), Mesh(data=4, fsdp=8)),
        ("TPU v5p", (2, 2, 2), Mesh(data=1, fsdp=8)),
        ("TPU v4", (4, 4, 8), Mesh(replica=2, data=4, fsdp=4, tensor=8)),
    ],
)
def test_neighbours_along_an_axis_are_one_link_apart_and_so_are_its_ends(kind, torus, config):
    """In the order of their ids the chips of none of these are."""
    devices = chips(kind, torus, config.replica)
    mesh = make_mesh(config, devices)
    assert sorted(chip.id for chip in mesh.devices.flat) == list(range(len(devices)))
    for axis in ("data", "fsdp", "tensor"):
        along = np.moveaxis(mesh.devices, mesh.axis_names.index(axis), -1)
        rings = along.reshape(-1, along.shape[-1])
        after = np.roll(rings, -1, axis=1)
        apart = [links(a, b, torus) for a, b in zip(rings.flat, after.flat, strict=True)]
        assert max(apart) == (1 if mesh.shape[axis] > 1 else 0), axis
        assert all(len({chip.slice_index for chip in ring}) == 1 for ring in rings)


def test_another_axis_across_slices_is_refused():
    with pytest.raises(UserError, match="config.mesh.replica: 1 is not a multiple of the 2 slices"):
        make_mesh(Mesh(data=8), jax.devices()[:8], slice_of)


@pytest.mark.parametrize(
    "mesh, says",
    [
        (Mesh(data=1, tensor=8), "tensor = 8 does not divide 4 .*model.heads.*set tensor to 4"),
        (Mesh(data=3), "= 3 does not divide 8 rows .*data.batch_size.*take 6 or 9 there"),
        (Mesh(data=1, fsdp=2, replica=8), "= 16 does not divide 8 rows .*take 16 there"),
        (Mesh(data=1, context=5), "context = 5 does not divide 64 input positions .*context to 4"),
    ],
)
def test_a_size_that_does_not_divide_says_what_to_set(mesh, says):
    run = dataclasses.replace(get_config("text.txt"), mesh=mesh)
    with pytest.raises(UserError, match=says):
        runs.check(run)
