"""Every family on meshes of eight: the gradients of one device, and ten steps with a stop after five."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import book_spans
from benchmarks.families import FAMILIES
from t2t import run as runs
from t2t.cli import main
from tests.mesh_gradients import check_gradients

pytestmark = pytest.mark.slow

STEPS = 10
# Their rows are 16 tokens, not 128: as many tokens a batch take more of them.
SHORT = ("bert", "roberta", "albert", "megatron_bert", "electra", "distilbert", "ernie", "ernie2")
MESH = ("--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.mesh.tensor=2")


def arguments(family, folder, corpus, steps=STEPS):
    changed = {
        "data.train.corpora[0].source.paths": corpus,
        "data.evaluation[0].source.paths": corpus,
        "data.batch_size": 64 if family in SHORT else 8,
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
def corpus_of(shared_data, tmp_path_factory):
    """Returns a function: family -> its books; ERNIE's have phrases and names marked."""
    books = f"{shared_data}/corpora/books.validation.jsonl.gz"

    @functools.cache
    def marked():
        path = str(tmp_path_factory.mktemp("spans") / "spans.jsonl")
        book_spans.write(books, path)
        return path

    return lambda family: marked() if family.startswith("ernie") else books


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_one_device(family, corpus_of):
    run = runs.load(
        f"{family}:tiny",
        [
            ("data.train.corpora[0].source.paths", corpus_of(family)),
            ("data.evaluation[0].source.paths", corpus_of(family)),
            ("data.batch_size", "8"),
            ("model.layers", "scan"),
            # Not that of its teacher, a run.
            *([("tokenizer", 'TrainedSubwords("wordpiece", 1024)')] if "distil" in family else []),
        ],
    )
    # Keys' biases have none: what softmax does not see.
    check_gradients(run, unseen=1e-8)


@pytest.fixture(scope="module")
def alone(corpus_of, tmp_path_factory):
    """Returns a function: family -> the folder of its run on one device, each made once."""
    folder = tmp_path_factory.mktemp("alone")
    one = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}

    @functools.cache
    def on(family):
        more = taught(on("bert")) if family == "distilbert" else ()
        command = [sys.executable, "-m", "t2t.cli", *arguments(family, folder, corpus_of(family))]
        command += more
        subprocess.run(command, check=True, env=one)
        return folder / family

    return on


def taught(teacher):
    """The option that names a student's teacher."""
    return (f"--config.teacher.source=FromRun({str(teacher)!r})",)


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_those_of_one_device(family, alone, corpus_of, tmp_path):
    more = taught(alone("bert")) if family == "distilbert" else ()
    for steps in (5, STEPS):
        assert main([*arguments(family, tmp_path, corpus_of(family), steps), *more, *MESH]) == 0
    found = losses(tmp_path / family)
    if family != "ernie2":  # another task from step to step
        least = 0.05 if family == "ul2" else 0.1
        assert found[-1] < found[0] - least, "something is learnt in the steps compared"
    np.testing.assert_allclose(found, losses(alone(family)), rtol=1e-4)
