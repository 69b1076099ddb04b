"""The loss in chunks against the loss at once: sums and gradients, on one device and on meshes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from t2t.losses import cross_entropy
from t2t.models.embeddings import to_vocabulary
from t2t.parallel import sharding
from t2t.parallel.mesh import make_mesh
from t2t.parallel.mesh_config import Mesh
from t2t.planning import hlo
from t2t.vocabulary_loss import LOGITS_BYTES, Chunks, _tokens_at_once, vocabulary_loss

B, T, E, V = 8, 6, 16, 64


def case(dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return (
        {
            "kernel": jnp.asarray(rng.normal(size=(E, V)), jnp.float32),
            "bias": jnp.asarray(rng.normal(size=V), jnp.float32),
            "unused": jnp.ones((3, 3)),
        },
        jnp.asarray(rng.normal(size=(B, T, E)), dtype),
        jnp.asarray(rng.integers(0, V, (B, T)), jnp.int32),
        jnp.asarray(rng.integers(0, 2, (B, T)), jnp.float32),
    )


def head(params, x):
    return to_vocabulary(x, params["kernel"].astype(x.dtype)) + params["bias"]


def loss(params, hidden, targets, weights, chunks):
    sums = vocabulary_loss(lambda x: head(params, x), hidden, targets, weights, 1e-2, 0.1, chunks)
    return sums.pop("objective"), sums


def results(chunks, arguments=None):
    """((objective, sums), gradients of the parameters and of the hidden states)."""
    both = jax.value_and_grad(functools.partial(loss, chunks=chunks), (0, 1), has_aux=True)
    return jax.jit(both)(*(arguments or case()))


def close(got, want, tolerance=2e-6):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max()),
        got,
        want,
    )


@pytest.mark.parametrize("tokens", [1, 7, 20, 47])
def test_chunks_of_any_size_change_nothing(tokens):
    """7 and 20 do not divide the 48 positions; 47 leaves one for a second chunk."""
    close(results(Chunks(tokens=tokens)), results(None))


@pytest.mark.parametrize(
    "mesh",
    [
        Mesh(data=8),
        Mesh(data=1, fsdp=8),
        Mesh(data=1, fsdp=4, tensor=2),
        Mesh(data=4, context=2),
        Mesh(replica=2, data=1, fsdp=2, tensor=2),
        Mesh(data=1, tensor=8),
    ],
)
def test_on_a_mesh_too_and_each_device_sees_its_own_tokens(mesh):
    mesh = make_mesh(mesh)
    params, *batch = case()
    names = {"kernel": ("embed", "vocab"), "bias": ("vocab",), "unused": (None, None)}
    layout = sharding.shardings(
        {k: names[k] for k in params}, {k: v for k, v in params.items()}, mesh
    )
    rows = sharding.batch_sharding(mesh, batch[1])
    placed = (
        jax.device_put(params, layout),
        jax.device_put(batch[0], NamedSharding(mesh, PartitionSpec(*rows.spec))),
        *jax.device_put(batch[1:], rows),
    )
    both = jax.jit(
        jax.value_and_grad(functools.partial(loss, chunks=Chunks(mesh, 2)), (0, 1), has_aux=True)
    )
    compiled = both.lower(*placed).compile()
    close(compiled(*placed), results(None))
    text = compiled.as_text()
    columns = V // mesh.shape["tensor"]
    assert f"f32[2,{columns}]" in text  # two tokens at once, of a part of the vocabulary
    own = np.prod(rows.shard_shape((B, T)))
    assert f"f32[{own},{columns}]" not in text
    assert f"f32[{B},{T},{columns}]" not in text
    # The kernel's gradient is summed over the devices once, not at every chunk.
    assert all(
        c.times == 1 or set(hlo.axes_of(c.groups, mesh.shape)) <= {"tensor"}
        for c in hlo.collectives(text)
    )


def test_bfloat16_is_summed_in_float32():
    """As the loss at once has it: float32 sums, a gradient of the kernel that was never bfloat16
    between chunks."""
    arguments = case(jnp.bfloat16)
    (objective, sums), gradients = results(Chunks(tokens=4), arguments)
    (want, want_sums), want_gradients = results(None, arguments)
    assert objective.dtype == jnp.float32
    close((objective, sums), (want, want_sums), 1e-5)
    assert gradients[0]["kernel"].dtype == jnp.float32 and gradients[1].dtype == jnp.bfloat16
    close(gradients, want_gradients, 2**-7)


def test_without_a_gradient_nothing_is_differentiated():
    params, *rest = case()
    _, sums = jax.jit(functools.partial(loss, chunks=Chunks(tokens=5)))(params, *rest)
    want = cross_entropy(head(params, rest[0]), rest[1], rest[2], 1e-2, 0.1)
    close(sums, {k: want[k] for k in sums})


def test_a_large_vocabulary_is_taken_in_chunks_by_itself_and_a_small_one_whole():
    columns = 32128
    kernel = jax.ShapeDtypeStruct((E, columns), jnp.float32)

    def at_once(rows, mesh=None, given=None):
        hidden = jax.ShapeDtypeStruct((rows, 114, E), jnp.float32)
        targets = jax.ShapeDtypeStruct((rows, 114), jnp.int32)
        return _tokens_at_once(
            lambda x: jax.eval_shape(lambda x, k: x @ k, x, kernel),
            hidden,
            targets,
            Chunks(mesh, given),
        )

    assert at_once(8) is None  # 117 MB
    size = at_once(64)
    assert 4 * size * columns <= LOGITS_BYTES < 4 * (size + 114) * columns
    # Eight devices hold an eighth of the rows each; two of them, half of the vocabulary.
    assert at_once(64, make_mesh(Mesh(data=8))) is None
    assert at_once(64, make_mesh(Mesh(data=1, tensor=8))) is None
    assert at_once(8, given=100) == 92  # 912 positions in ten chunks
