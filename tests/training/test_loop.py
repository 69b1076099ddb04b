"""A run from the command line, in this process: what it leaves behind, and going on from it."""

import json
import os
import pathlib
import signal

import jax
import numpy as np
import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.training.compilation import CompiledSteps
from t2t.training.inputs import open_inputs
from t2t.training.restored import restored
from tests.tiny import write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
METRICS = {
    *("step", "split", "loss", "z_loss", "accuracy", "grad_norm", "update_norm", "param_norm"),
    *("learning_rate", "skipped", "tokens_per_second", "step_seconds", "data_wait_seconds"),
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text"))


def train(text, workdir, *overrides: str) -> dict:
    """Trains; returns the metric rows by (split, step)."""
    assert main(["train", f"--config={RECIPE}:{text}", f"--workdir={workdir}", *overrides]) == 0
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    found = {(row["split"], row["step"]): row for row in rows}
    assert len(found) == len(rows), "no metric row twice"
    return found


@pytest.fixture(scope="module")
def finished(text, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, train(text, workdir, "--config.monitoring.tensorboard=true")


def test_a_run_directory_holds_what_it_should(finished):
    workdir, rows = finished
    assert {key for key in rows if key[0] == "train"} == {("train", step) for step in range(1, 13)}
    assert {step for split, step in rows if split == "eval/held_out"} == {0, 4, 8, 12}
    assert set(rows["train", 5]) == METRICS
    assert sorted(int(p.name) for p in (workdir / "checkpoints").iterdir()) == [4, 8, 12]
    assert list((workdir / "tensorboard").iterdir())
    table = (workdir / "model.txt").read_text()
    assert "encoder/layers/self_attention/query/kernel" in table
    assert runs.load_saved(str(workdir)).training.seed == 3


def test_the_learning_rate_is_the_schedules(finished):
    _, rows = finished
    for step in range(1, 13):
        done = step - 1  # updates before this one
        want = 0.02 * ((0.2 + 0.8 * done / 5) if done < 5 else (5 / done) ** 0.5)
        assert rows["train", step]["learning_rate"] == pytest.approx(want, rel=1e-5)


def test_the_held_out_loss_is_that_of_the_saved_parameters(finished):
    """Recomputed from the last checkpoint with a plain log-softmax over the same batches."""
    workdir, rows = finished
    run = runs.load_saved(str(workdir))
    model, params, _ = restored(run, str(workdir))
    samples = open_inputs(run, lambda line: None).heldout["held_out"]
    total = count = right = 0.0
    forward = jax.jit(lambda batch: model.logits(params, model.forward(params, batch)[0]))
    for step in range(min(run.evaluation.batches, samples.batches)):
        batch = samples.batch_at(step)
        logits = np.asarray(forward({k: batch[k] for k in ("encoder", "decoder")}), np.float64)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        targets, weights = batch["targets"], batch["weights"]
        total -= (np.take_along_axis(log_p, targets[..., None], -1)[..., 0] * weights).sum()
        right += ((logits.argmax(-1) == targets) * weights).sum()
        count += weights.sum()
    assert rows["eval/held_out", 12]["loss"] == pytest.approx(total / count, rel=1e-5)
    assert rows["eval/held_out", 12]["accuracy"] == pytest.approx(right / count, rel=1e-5)


def test_it_learns(finished):
    _, rows = finished
    assert rows["eval/held_out", 12]["loss"] < rows["eval/held_out", 0]["loss"] - 0.5


def test_a_stop_during_the_last_evaluation_is_not_the_end(
    text, finished, tmp_path, monkeypatch, capfd
):
    evaluate, calls = CompiledSteps.evaluate, []

    def asked_to_stop(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:  # two batches before the first step
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, *arguments)

    monkeypatch.setattr(CompiledSteps, "evaluate", asked_to_stop)
    begun = train(text, tmp_path, "--config.training.steps=4")
    assert ("eval/held_out", 4) not in begun
    assert "SIGTERM: saved step 4; the same command goes on" in capfd.readouterr().err
    ended = train(text, tmp_path, "--config.training.steps=4")
    assert "done in" in capfd.readouterr().err
    assert ended["eval/held_out", 4]["loss"] == finished[1]["eval/held_out", 4]["loss"]


def test_going_on_with_another_mesh_and_more_steps_is_as_if_never_stopped(
    text, finished, tmp_path, capfd
):
    _, stopped = finished
    first = tmp_path / "in two parts"
    train(text, first, "--config.training.steps=8")
    parts = train(text, first, "--config.mesh.data=1", "--config.mesh.fsdp=8")
    assert f"resumed from step 8 of {first}" in capfd.readouterr().err
    for key, row in stopped.items():
        assert parts[key]["loss"] == pytest.approx(row["loss"], rel=1e-4), key
