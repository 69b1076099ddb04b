"""Switch's experts on devices of their own: the losses of one device, and tokens that are exchanged."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from t2t import run as runs
from t2t.data.feed import Feed
from t2t.errors import UserError
from t2t.parallel import sharding
from t2t.parallel.mesh_config import Mesh
from t2t.planning import hlo
from t2t.training import programs as program_builder
from t2t.training.compilation import abstract_batch
from t2t.training.inputs import open_inputs
from tests.tiny import get_config, write_text

STEPS = 6
SPARSE = {"experts": 4, "gated": False, "activation": "relu", "expert_capacity": 20}
# One device's part of the encoder's experts [1, 4, 32, 64], and of the batch's 8 rows.
MESHES = {
    "data, expert": (Mesh(data=4, expert=2), (1, 2, 32, 64), 1),
    "fsdp, expert": (Mesh(data=1, fsdp=2, expert=4), (1, 1, 16, 64), 1),
    "data, tensor, expert": (Mesh(data=2, tensor=2, expert=2), (1, 2, 32, 32), 2),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = get_config(str(write_text(tmp_path_factory.mktemp("text"))))
    run = dataclasses.replace(run, model=dataclasses.replace(run.model, **SPARSE))
    runs.check(run)
    return run


def trained(run, mesh):
    """Returns (losses, dropped tokens, state, the part of a batch on a device, the program)."""
    devices = jax.devices()[: 1 if mesh == Mesh() else 8]
    programs = program_builder.build(dataclasses.replace(run, mesh=mesh), devices)
    step = programs.train.lower(programs.shapes, abstract_batch(run, programs, 8)).compile()
    state = programs.init(program_builder.init_key(run.training.seed))
    place, losses, dropped = functools.partial(sharding.batch_sharding, programs.mesh), [], []
    with Feed(open_inputs(run, lambda line: None).train, 0, STEPS, place) as feed:
        for batch in feed:
            part = batch["encoder"]["tokens"].addressable_shards[0].data.shape
            state, metrics = step(state, batch)
            losses.append(float(metrics["loss"]))
            dropped.append(float(metrics["dropped_tokens"]))
    return np.array(losses), np.array(dropped), state, part, (step, programs)


@pytest.mark.slow
@pytest.mark.parametrize("name", MESHES)
def test_losses_are_those_of_one_device(run, alone, name):
    mesh, part_of_experts, rows = MESHES[name]
    wanted, dropped_there, _, _, _ = alone
    losses, dropped, state, part, (step, programs) = trained(run, mesh)
    assert wanted[-1] < wanted[0] - 0.2 and dropped_there.max() > 0
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    np.testing.assert_allclose(dropped, dropped_there, atol=5e-3)
    experts = state["params"]["encoder"]["layers"]["slot_1"]["feed_forward"]["wi"]
    assert experts.addressable_shards[0].data.shape == part_of_experts
    assert part[0] == rows
    found = hlo.collectives(step.as_text())
    exchanged = {c.kind for c in found if "expert" in hlo.axes_of(c.groups, programs.mesh.shape)}
    assert "all-to-all" in exchanged


@pytest.fixture(scope="module")
def alone(run):
    return trained(run, Mesh())


def test_experts_that_cannot_be_split_are_named(run):
    def refused(match, **changes):
        with pytest.raises(UserError, match=match):
            runs.check(dataclasses.replace(run, **changes))

    refused("config.mesh.expert: expert = 3 does not divide 4", mesh=Mesh(expert=3))
    refused("expert = 16 does not divide 8 rows", mesh=Mesh(data=8, expert=2))
    plain = dataclasses.replace(run.model, experts=0)
    refused("config.mesh.expert: 2, and config.model has no", model=plain, mesh=Mesh(expert=2))
