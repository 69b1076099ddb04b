"""A run directory made by hand, for reports of what no short training would show."""

import json
import pathlib

MODEL = """\
name                      shape   axes         sharding   count   bytes
encoder/layers/wi/kernel  2x8x16  -,embed,mlp  (None, 'fsdp')    256   1,024
token_embedding/table     64x8    vocab,embed  ()           512   2,048
total                                                       768   3,072
"""


def config(**changed) -> dict:
    training = {"steps": 100, "seed": 0, **changed}
    return {"model": {"d_model": 8, "class": "Architecture"}, "training": training}


def train_row(step: int, loss, **others) -> dict:
    return {"step": step, "split": "train", "loss": loss, "step_seconds": 0.5, **others}


def eval_row(step: int, loss: float, name: str = "held_out") -> dict:
    return {"step": step, "split": f"eval/{name}", "loss": loss, "accuracy": 0.5, "weight": 9.0}


def write_run(folder: pathlib.Path, rows, settings: dict | None = None, tail: str = "") -> str:
    """Writes config.json, model.txt and metrics.jsonl (`tail` follows its rows); returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = {
        "config": settings or config(),
        "versions": {"python": "3.11.7", "jax": "0.10.2"},
        "hardware": {"device": "TPU v5 lite", "devices": 4},
    }
    (folder / "config.json").write_text(json.dumps(saved))
    (folder / "model.txt").write_text(MODEL)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return str(folder)


def line(index: int, prediction: str, **others) -> dict:
    """A line of predictions as `t2t eval` writes it."""
    return {
        "index": index,
        "id": str(index),
        "input": f"input {index}",
        "target": "a b c",
        "prediction": prediction,
        "truth": "a b c",
        "value": prediction,
        "group": [],
        "classes": 0,
        "scores": {},
        **others,
    }


def write_predictions(run: str, task: str, step: int, scores: dict, lines: list[dict]) -> None:
    """Writes a task's result and its lines; every interval is one point to both sides."""
    folder = pathlib.Path(run) / "predictions" / task
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "identity": "0123abcd",
        "task": task,
        "name": task,
        "split": "validation",
        "step": step,
        "examples": len(lines),
        "invalid": 0,
        "scores": scores,
        "intervals": {name: [value - 1, value + 1] for name, value in scores.items()},
    }
    (folder / f"{step}.json").write_text(json.dumps(result))
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (folder / f"{step}.jsonl").write_text(text)
