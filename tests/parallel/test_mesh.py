"""The order of devices in a mesh: only `replica` crosses slices."""

import dataclasses

import jax
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
