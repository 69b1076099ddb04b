"""A run directory with checkpoints of random parameters, and a task of one's own to judge them on."""

import dataclasses
import json
import pathlib

import jax
import numpy as np

from t2t import run as runs
from t2t.models.transformer import build
from t2t.training.checkpoints import open_checkpoints
from t2t.training.inputs import open_tokenizer
from tests.tiny import get_config

TASK = """
name = "colours"
input = "colour of {thing}:"
target = "{colour}"
validation = "colours.jsonl"
train = "train.jsonl"
choices = ["red", "green", "blue"]
metrics = ["accuracy", "macro_f1"]
inputs_length = 64
targets_length = 12
"""


def save_run(folder: pathlib.Path, steps=(4, 8), metrics=(), seed: int = 0) -> pathlib.Path:
    """Writes `folder`/run; metrics: one value of eval/held_out/loss a step, which ranks them."""
    run = get_config(str(folder / "text.txt"))
    if metrics:
        ranked = dataclasses.replace(run.checkpoints, best_metric="eval/held_out/loss")
        run = dataclasses.replace(run, checkpoints=ranked)
    workdir = folder / "run"
    runs.save(run, str(workdir), {})
    model = build(run.model)
    record = {"tokenizer": open_tokenizer(run, print).vocabulary.fingerprint}
    checkpoints = open_checkpoints(f"{workdir}/checkpoints", run.checkpoints)
    for i, step in enumerate(steps):
        params = jax.jit(model.init)(jax.random.key(seed + step))
        found = {"eval/held_out/loss": metrics[i]} if metrics else {}
        checkpoints.save(step, {"params": params}, record, found)
        checkpoints.wait()
    checkpoints.close()
    return workdir


def write_task(folder: pathlib.Path, examples: int = 20, text: str = TASK) -> pathlib.Path:
    """Writes colours.toml and its files; inputs are of many lengths."""
    rng = np.random.default_rng(0)
    for name, seed in (("colours.jsonl", "thing"), ("train.jsonl", "shown")):
        rows = [
            {"thing": f"{seed} {i} " + "x" * int(rng.integers(0, 30)), "colour": colour}
            for i, colour in enumerate(rng.choice(["red", "green", "blue"], examples).tolist())
        ]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "colours.toml"
    path.write_text(text)
    return path
