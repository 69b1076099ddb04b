"""The order of devices in a mesh: only `replica` crosses slices."""

import jax
import pytest

from t2t.errors import UserError
from t2t.parallel.mesh import make_mesh
from t2t.parallel.mesh_config import Mesh


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
