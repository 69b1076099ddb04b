import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from t2t.errors import UserError
from t2t.parallel import sharding
from t2t.parallel.mesh import make_mesh, mesh_shape
from t2t.parallel.mesh_config import Mesh


def test_minus_one_takes_the_rest():
    sizes = mesh_shape(Mesh(data=-1, fsdp=2, tensor=2), 8)
    assert (sizes["data"], sizes["fsdp"], sizes["tensor"]) == (2, 2, 2)


@pytest.mark.parametrize(
    "mesh, message",
    [
        (Mesh(data=1, fsdp=3), "config.mesh: fsdp=3 makes 3 devices, but there are 8"),
        (Mesh(fsdp=3), "config.mesh.data: the other axes take 3 devices"),
    ],
)
def test_a_mesh_that_does_not_fit_says_so(mesh, message):
    with pytest.raises(UserError, match=message):
        mesh_shape(mesh, 8)


@pytest.mark.parametrize(
    "mesh, message",
    [
        (Mesh(data=-1, fsdp=-1), "only one axis may be -1"),
        (Mesh(tensor=0), r"c.tensor: must be at least 1"),
        (Mesh(stage=2), "c.stage: no layer"),
    ],
)
def test_mesh_check(mesh, message):
    with pytest.raises(UserError, match=message):
        mesh.check("c")


def test_first_choice_that_divides_wins_and_units_are_kept_whole():
    mesh = make_mesh(Mesh(data=1, fsdp=2, tensor=4))
    units = {"heads*kv": 6}

    def spec(names, shape):
        return sharding.spec(names, shape, sharding.PARAMETERS, mesh, units)

    assert spec(("layers", "embed", "mlp"), (3, 16, 64)) == P(None, "fsdp", "tensor")
    # 6 heads do not split in 4, though 6 * 64 columns would
    assert spec(("layers", "embed", "heads*kv"), (3, 16, 384)) == P(None, "fsdp")
    assert spec(("vocab", "embed"), (30, 16)) == P(None, "fsdp")
    assert spec(("norm",), (16,)) == P()


def test_one_mesh_axis_is_used_once_an_array():
    mesh = make_mesh(Mesh(data=1, fsdp=8))
    names = ("embed", "embed")
    assert sharding.spec(names, (64, 64), sharding.PARAMETERS, mesh) == P("fsdp")


def test_batches_are_split_over_data_and_fsdp():
    mesh = make_mesh(Mesh(data=2, fsdp=4))
    array = jax.ShapeDtypeStruct((16, 5), jnp.int32)
    assert sharding.batch_sharding(mesh, array).spec == P(("data", "fsdp"))


def test_constrain_is_the_identity_on_one_device():
    mesh = make_mesh(Mesh(data=1), jax.devices()[:1])
    x = np.zeros((2, 3, 4))
    assert sharding.constrainer(mesh)(x, ("batch", "length", "embed")) is x


def test_what_could_not_be_split_is_listed_with_its_bytes():
    mesh = make_mesh(Mesh(data=1, fsdp=8))
    shapes = {
        "a": jax.ShapeDtypeStruct((1001, 1001), jnp.float32),
        "b": jax.ShapeDtypeStruct((1024, 1024), jnp.float32),
    }
    axes = {"a": ("embed", "mlp"), "b": ("embed", "mlp")}
    assert sharding.unsharded(axes, shapes, mesh) == [("a", 1001 * 1001 * 4)]


def test_spread_gives_each_part_of_the_rows_its_own():
    mesh = make_mesh(Mesh(data=2, fsdp=2, tensor=2))
    x = jnp.arange(6.0).reshape(2, 3)
    got = jax.jit(lambda x: sharding.spreader(mesh)(x, 8))(x)
    np.testing.assert_array_equal(got, np.broadcast_to(x, (4, 2, 3)))
    assert {shard.data.shape[0] for shard in got.addressable_shards} == {1}
    assert sharding.spreader(mesh)(x, 6).shape == (1, 2, 3)  # rows that do not divide are not split
