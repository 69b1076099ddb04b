"""Every family on meshes of eight: the gradients of one device; and its steps, for one of each wiring."""

import functools
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from benchmarks import book_spans
from t2t import run as runs
from t2t.cli import main
from t2t.models.partition import TEACHER
from t2t.models.transformer import build
from t2t.parallel import mesh as meshes
from t2t.parallel import sharding
from t2t.parallel.mesh_config import Mesh
from t2t.parallel.sharded_attention import sharded_attention
from t2t.training.inputs import open_inputs
from t2t.training.leaf_names import named_leaves
from t2t.training.step import accumulated
from t2t.wiring.choice import first_carry, wired

pytestmark = pytest.mark.slow

FAMILIES = ("t5_1_0", "t5_1_1", "mt5", "umt5", "byt5", "ul2", "lm_adapt", "switch", "t5gemma")
FAMILIES += ("bert", "roberta", "albert", "megatron_bert", "electra", "distilbert", "xlnet")
FAMILIES += ("ernie", "ernie2", "gpt2", "gpt3", "megatron_gpt", "llama")
# One for each objective, wiring and kind of layer.
TRAINED = ("gpt2", "t5gemma", "xlnet", "switch", "electra", "t5_1_1", "bert", "distilbert")
STEPS = 10
MESH = ("--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.mesh.tensor=2")


def arguments(family, folder, corpus, steps=STEPS):
    changed = {
        "data.train.corpora[0].source.paths": corpus,
        "data.evaluation[0].source.paths": corpus,
        "data.batch_size": 8,
        "model.layers": "scan",
        "schedule": "Constant(1e-3)",
        "training.steps": steps,
        "evaluation.batches": 1,
        "checkpoints.every_steps": 5,
        "monitoring.log_every": 1,
    }
    return [
        "train",
        f"--config={family}:tiny",
        f"--workdir={folder}/{family}",
        *(f"--config.{key}={value}" for key, value in changed.items()),
    ]


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = [(row["step"], row["loss"]) for row in rows if row["split"] == "train"]
    assert [step for step, _ in found] == list(range(1, STEPS + 1))
    return np.array([loss for _, loss in found])


@pytest.fixture(scope="module")
def corpus(shared_data):
    return f"{shared_data}/corpora/books.validation.jsonl.gz"


@pytest.fixture(scope="module")
def marked_corpus(corpus, tmp_path_factory):
    """The same with phrases and names marked, as ERNIE masks them whole."""
    path = str(tmp_path_factory.mktemp("spans") / "spans.jsonl")
    book_spans.write(corpus, path)
    return path


def gradients(run, mesh, batch):
    """{name: gradient} of a batch's loss, on `mesh`, at parameters that depend on the run alone."""
    on = meshes.make_mesh(mesh, jax.devices()[: 1 if mesh == Mesh() else 8])
    constrain = sharding.constrainer(on)
    make = functools.cache(
        lambda arch: build(arch, constrain=constrain, attention=sharded_attention(constrain))
    )
    model, loss_fn, _ = wired(run, make, on)
    layout = sharding.shardings(model.axes, model.shapes, on, model.units)
    params = jax.jit(model.init, out_shardings=layout)(jax.random.key(0))
    frozen = {TEACHER: make(run.teacher.model).init(jax.random.key(1))} if run.teacher else {}
    carry = first_carry(run, model)
    place = functools.partial(sharding.batch_sharding, on)
    compute = jax.jit(
        lambda params, batch: accumulated(loss_fn, 1)(params, frozen, carry, batch, None)[0],
        out_shardings=layout,
    )
    placed = jax.tree.map(lambda x: jax.device_put(x, place(x)), batch)
    return jax.tree.map(np.asarray, named_leaves(compute(params, placed)))


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_one_device(family, corpus, marked_corpus):
    text = marked_corpus if family.startswith("ernie") else corpus
    run = runs.load(
        f"{family}:tiny",
        [
            ("data.train.corpora[0].source.paths", text),
            ("data.evaluation[0].source.paths", text),
            ("data.batch_size", "8"),
            ("model.layers", "scan"),
            # Not that of its teacher, a run.
            *([("tokenizer", 'TrainedSubwords("wordpiece", 1024)')] if "distil" in family else []),
        ],
    )
    batch = jax.tree.map(
        lambda x: x.astype(np.int32) if x.dtype == np.int64 else x,
        open_inputs(run, lambda line: None).train.batch_at(0),
    )
    want = gradients(run, Mesh(), batch)
    whole = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in want.values()))
    for mesh in (Mesh(data=2, fsdp=2, tensor=2), Mesh(data=2, tensor=2, context=2)):
        for name, got in gradients(run, mesh, batch).items():
            # Keys' biases have none: what softmax does not see.
            allowed = 1e-4 * np.linalg.norm(want[name]) + 1e-8 * whole
            assert np.linalg.norm(got - want[name]) < allowed, (mesh, name)


@pytest.fixture(scope="module")
def alone(corpus, tmp_path_factory):
    """Returns a function: family -> the folder of its run on one device, each made once."""
    folder = tmp_path_factory.mktemp("alone")
    one = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}

    @functools.cache
    def on(family):
        more = taught(on("bert")) if family == "distilbert" else ()
        command = [sys.executable, "-m", "t2t.cli", *arguments(family, folder, corpus), *more]
        subprocess.run(command, check=True, env=one)
        return folder / family

    return on


def taught(teacher):
    """The option that names a student's teacher."""
    return (f"--config.teacher.source=FromRun({str(teacher)!r})",)


@pytest.mark.parametrize("family", TRAINED)
def test_losses_are_those_of_one_device(family, alone, corpus, tmp_path):
    more = taught(alone("bert")) if family == "distilbert" else ()
    for steps in (5, STEPS):
        assert main([*arguments(family, tmp_path, corpus, steps), *more, *MESH]) == 0
    found = losses(tmp_path / family)
    assert found[-1] < found[0] - 0.1, "something is learnt in the steps compared"
    np.testing.assert_allclose(found, losses(alone(family)), rtol=1e-4)
