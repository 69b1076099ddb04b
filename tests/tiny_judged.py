"""Runs of each kind of stacks on one task: `--config=tests/tiny_judged.py:KIND:TASK.toml`.

`write_task` makes the task: the colour of a thing, which the thing alone decides.
"""

import dataclasses
import json
import pathlib

from t2t.data.config import Corpus, Mixture
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import Bytes, Subwords
from t2t.objectives.config import TextToText
from t2t.run import Run
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear
from tests import tiny

COLOURS = {
    "sky": "dark blue",
    "grass": "green",
    "blood": "red",
    "sea": "dark blue",
    "leaf": "green",
}
TOML = """
name = "colours"
input = "of what colour is the {thing}?"
target = "{colour}"
train = "train.jsonl"
validation = "validation.jsonl"
choices = ["red", "green", "dark blue"]
metrics = ["accuracy"]
inputs_length = 48
targets_length = 12
"""
STACKS = {
    "both": ({"encoder_layers": 1, "decoder_layers": 1}, Bytes()),
    "decoder": ({"encoder_layers": 0, "decoder_layers": 2}, Bytes()),
    "encoder": (
        {
            "encoder_layers": 2,
            "decoder_layers": 0,
            "learned_positions": 64,
            "relative_bias": "none",
            "tied_embedding": True,
            "head": "masked",
            "initialization": "normal",
        },
        None,
    ),
}


def write_task(folder: pathlib.Path) -> pathlib.Path:
    """Writes the files, and a vocabulary of words and letters; returns colours.toml."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *letters]
    pieces += [f"##{letter}" for letter in letters] + [
        "of",
        "what",
        "colour",
        "is",
        "the",
        "dark",
        "blue",
    ]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    for name, words in (("train", ("old ", "new ", "far ", "")), ("validation", ("dry ", ""))):
        rows = [
            {"thing": word + thing, "colour": colour}
            for word in words
            for thing, colour in COLOURS.items()
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "colours.toml"
    path.write_text(TOML)
    return path


def get_config(arg: str) -> Run:
    """arg: KIND:TASK.toml; the cache of its store is made beside it."""
    kind, _, task = arg.partition(":")
    layers, tokenizer = STACKS[kind]
    run = tiny.get_config(task)
    return dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, **layers),
        tokenizer=tokenizer or Subwords(str(pathlib.Path(task).parent / "vocab.txt")),
        data=dataclasses.replace(
            run.data,
            train=Mixture((Corpus("colours", Task(task)),)),
            evaluation=(Corpus("held_out", Task(task, split="validation")),),
            order="packed",
        ),
        objective=TextToText(inputs_length=64, targets_length=16),
        optimizer=AdamW(),
        schedule=Linear(peak=1e-2, warmup_steps=5),
        training=dataclasses.replace(run.training, steps=150, z_loss=0.0),
        evaluation=dataclasses.replace(
            run.evaluation, every_steps=150, batches=1, examples=2, tasks=(task,)
        ),
        checkpoints=dataclasses.replace(run.checkpoints, every_steps=150),
    )
