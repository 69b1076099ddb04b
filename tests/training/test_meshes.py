"""The same run on one device and on meshes of eight: the same batches, the same losses, really split."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from t2t import run as runs
from t2t.data.feed import Feed
from t2t.parallel import sharding
from t2t.parallel.mesh_config import Mesh
from t2t.training import programs as program_builder
from t2t.training.inputs import open_inputs
from tests.tiny import get_config, write_text

STEPS = 20
MESHES = {
    "data": Mesh(data=8),
    "fsdp": Mesh(data=1, fsdp=8),
    "data, fsdp, tensor": Mesh(data=2, fsdp=2, tensor=2),
}
# One device's part of a query kernel [layers, embed, heads*kv] = [2, 32, 32], and of a batch of 8.
PARTS = {
    "data": ((2, 32, 32), (1, 64)),
    "fsdp": ((2, 4, 32), (1, 64)),
    "data, fsdp, tensor": ((2, 16, 16), (2, 64)),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a function: mesh -> (batches, losses, final state), each mesh trained once."""
    run = get_config(str(write_text(tmp_path_factory.mktemp("text"))))
    runs.check(run)
    samples = open_inputs(run, lambda line: None).train

    @functools.cache
    def on(mesh: Mesh):
        devices = jax.devices()[: 1 if mesh == Mesh() else 8]
        programs = program_builder.build(dataclasses.replace(run, mesh=mesh), devices)
        state = programs.init(program_builder.init_key(run.training.seed))
        batches, losses = [], []
        place = functools.partial(sharding.batch_sharding, programs.mesh)
        with Feed(samples, 0, STEPS, place) as feed:
            for batch in feed:
                batches.append(jax.tree.map(np.asarray, batch))
                part = batch["encoder"]["tokens"].addressable_shards[0].data.shape
                state, metrics = programs.train(state, batch)
                losses.append(float(metrics["loss"]))
        return batches, np.array(losses), state, part

    return on


@pytest.mark.parametrize("name", MESHES)
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
