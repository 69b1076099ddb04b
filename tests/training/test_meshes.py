"""The same run on one device and on meshes of eight: the same batches, losses and gradients, really split."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest

from t2t import run as runs
from t2t.data.feed import Feed
from t2t.parallel import mesh as meshes
from t2t.parallel import sharding
from t2t.parallel.mesh_config import Mesh
from t2t.planning import hlo
from t2t.training import programs as program_builder
from t2t.training.inputs import open_inputs
from t2t.training.step import accumulated
from t2t.vocabulary_loss import Chunks
from t2t.wiring.single import loss_function
from tests.tiny import get_config, write_text

STEPS = 20
MESHES = {
    "data": Mesh(data=8),
    "fsdp": Mesh(data=1, fsdp=8),
    "fsdp, tensor": Mesh(data=1, fsdp=4, tensor=2),
    "data, fsdp, tensor": Mesh(data=2, fsdp=2, tensor=2),
    "data, context": Mesh(data=2, context=4),
    "two slices": Mesh(replica=2, data=1, fsdp=4),
}
# One device's part of a query kernel [layers, embed, heads*kv] = [2, 32, 32], and of a batch of 8.
PARTS = {
    "data": ((2, 32, 32), (1, 64)),
    "fsdp": ((2, 4, 32), (1, 64)),
    "fsdp, tensor": ((2, 8, 16), (2, 64)),
    "data, fsdp, tensor": ((2, 16, 16), (2, 64)),
    "data, context": ((2, 32, 32), (4, 16)),
    "two slices": ((2, 8, 32), (1, 64)),
}
# One device's scores of the encoder [B, H, T, S] = [8, 4, 64, 64], and its residuals [8, 64, 32].
SCORES = {
    "data": ((1, 4, 64, 64), (1, 64, 32)),
    "fsdp, tensor": ((2, 2, 64, 64), (2, 32, 32)),
    "data, context": ((4, 4, 16, 64), (4, 16, 32)),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = get_config(str(write_text(tmp_path_factory.mktemp("text"))))
    # Targets whose length four devices can share; the loss in chunks of one length or another.
    run = dataclasses.replace(
        run,
        objective=dataclasses.replace(run.objective, targets_length=16),
        training=dataclasses.replace(run.training, loss_tokens=10),
    )
    runs.check(run)
    return run


@pytest.fixture(scope="module")
def samples(run):
    return open_inputs(run, lambda line: None).train


@pytest.fixture(scope="module")
def built(run):
    """Returns a function: mesh -> programs. The slices of the devices alternate."""

    @functools.cache
    def on(mesh: Mesh):
        devices = jax.devices()[: 1 if mesh == Mesh() else 8]
        with pytest.MonkeyPatch.context() as patch:
            if mesh.replica > 1:
                make = meshes.make_mesh
                patch.setattr(meshes, "make_mesh", lambda c, d: make(c, d, lambda x: x.id % 2))
            return program_builder.build(dataclasses.replace(run, mesh=mesh), devices)

    return on


@pytest.fixture(scope="module")
def compiled(run, built):
    """Returns a function: mesh -> the compiled train step."""

    @functools.cache
    def on(mesh: Mesh):
        from t2t.training.compilation import abstract_batch

        programs = built(mesh)
        return programs.train.lower(programs.shapes, abstract_batch(run, programs, 8)).compile()

    return on


@pytest.fixture(scope="module")
def trained(run, samples, built, compiled):
    """Returns a function: mesh -> (batches, losses, final state, part), each mesh trained once."""

    @functools.cache
    def on(mesh: Mesh):
        programs = built(mesh)
        state = programs.init(program_builder.init_key(run.training.seed))
        batches, losses = [], []
        place = functools.partial(sharding.batch_sharding, programs.mesh)
        with Feed(samples, 0, STEPS, place) as feed:
            for batch in feed:
                batches.append(jax.tree.map(np.asarray, batch))
                part = batch["encoder"]["tokens"].addressable_shards[0].data.shape
                state, metrics = compiled(mesh)(state, batch)
                losses.append(float(metrics["loss"]))
        return batches, np.array(losses), state, part

    return on


@pytest.fixture(scope="module")
def gradients(run, trained, built):
    """Returns a function: mesh -> gradients of the first batch at the initial parameters."""

    @functools.cache
    def on(mesh: Mesh):
        programs = built(mesh)
        chunks = Chunks(programs.mesh, run.training.loss_tokens)
        loss_fn = loss_function(programs.model, run.training.z_loss, 0.0, chunks)
        layout = jax.tree.map(lambda s: s.sharding, programs.shapes["params"])
        compute = jax.jit(
            lambda params, batch: accumulated(loss_fn, 1)(params, {}, {}, batch, None)[0],
            out_shardings=layout,
        )
        state = programs.init(program_builder.init_key(run.training.seed))
        batch = jax.tree.map(
            lambda x: jax.device_put(x, sharding.batch_sharding(programs.mesh, x)),
            trained(Mesh())[0][0],
        )
        return compute(state["params"], batch)

    return on


@pytest.mark.parametrize(
    "name",
    [
        name if name == "data, fsdp, tensor" else pytest.param(name, marks=pytest.mark.slow)
        for name in MESHES
    ],
)
def test_losses_and_batches_equal_those_of_one_device(trained, name):
    batches, losses, _, _ = trained(Mesh())
    found_batches, found, state, part = trained(MESHES[name])
    assert len(losses) == STEPS
    assert losses[-1] < losses[0] - 0.5, "something is learnt in the steps compared"
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    for ours, theirs in zip(found_batches, batches, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    kernel = state["params"]["encoder"]["layers"]["self_attention"]["query"]["kernel"]
    assert (kernel.addressable_shards[0].data.shape, part) == PARTS[name]
    for parameter, again in zip(
        jax.tree.leaves(state["params"]), jax.tree.leaves(trained(Mesh())[2]["params"]), strict=True
    ):
        np.testing.assert_allclose(parameter, again, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", MESHES)
def test_gradients_of_each_parameter_equal_those_of_one_device(gradients, name):
    ours, theirs = gradients(MESHES[name]), gradients(Mesh())
    for (path, got), want in zip(
        jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(theirs), strict=True
    ):
        got, want = np.asarray(got), np.asarray(want)
        assert np.linalg.norm(want) > 0, path
        assert np.linalg.norm(got - want) < 1e-4 * np.linalg.norm(want), path


@pytest.mark.parametrize("name", SCORES)
def test_scores_and_residuals_of_a_device_are_its_part(compiled, name):
    """As the compiled program has them: with the length split, [.., T/n, S]; and nowhere whole."""
    text = compiled(MESHES[name]).as_text()
    scores, residuals = SCORES[name]
    assert _shaped(text, scores) and _shaped(text, residuals)
    if name == "data, context":
        assert not _shaped(text, (4, 4, 64, 64)) and not _shaped(text, (1, 4, 64, 64))
        assert not _shaped(text, (4, 64, 64, 64))  # the bias, whole: heads first
    if name == "fsdp, tensor":  # norms are of a part of the length
        assert re.search(r"f32\[2,32(,1)?\]\S* rsqrt", text)
        assert not re.search(r"f32\[2,64(,1)?\]\S* rsqrt", text)


@pytest.mark.parametrize("name", ["data", "fsdp, tensor"])
def test_of_a_position_bias_only_the_table_is_reduced(compiled, name):
    """Not [H, T, S] once a layer, which is several times the parameters of a small model."""
    text = compiled(MESHES[name]).as_text()
    reduced = [line for line in text.splitlines() if re.search(r" all-reduce(-start)?\(", line)]
    assert reduced and not [line for line in reduced if re.search(r"\[[\d,]*64,64\]", line)]


def _shaped(text: str, shape: tuple[int, ...]) -> bool:
    return f"f32[{','.join(map(str, shape))}]" in text


def test_only_the_reduction_of_gradients_crosses_slices(compiled, built):
    mesh = MESHES["two slices"]
    layout = built(mesh).mesh
    assert [{d.id % 2 for d in part.flat} for part in layout.devices] == [{0}, {1}]
    found = hlo.collectives(compiled(mesh).as_text())
    across = [c for c in found if "replica" in hlo.axes_of(c.groups, layout.shape)]
    assert across and {c.kind for c in across} == {"all-reduce"}
    # Once a step: the gradients, and numbers of a few bytes. Nothing of the forward pass.
    parameters = built(mesh).shapes["params"]
    whole = sum(4 * int(np.prod(p.shape)) for p in jax.tree.leaves(parameters))
    for one in across:
        assert one.times == 1 and ("transpose" in one.operation or one.size <= 64), one
    assert whole / 4 < sum(c.size for c in across) < 1.25 * whole
    assert any(
        "fsdp" in hlo.axes_of(c.groups, layout.shape) for c in found if c.kind == "all-gather"
    )
