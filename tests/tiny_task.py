"""A run on a user's own task that trains in seconds: `--config=tests/tiny_task.py:TASK.toml`.

`write_task` makes such a task: a table of sums in words, and the file that poses them.
"""

import csv
import dataclasses
import pathlib

from t2t.data.config import Corpus, Mixture
from t2t.data.source_config import Task
from t2t.objectives.config import TextToText
from t2t.run import Run
from tests import tiny

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TOML = """
name = "sums"
train = "sums.csv"
input = "add {first} and {second}"
target = "{sum}"
"""


def write_task(folder: pathlib.Path) -> pathlib.Path:
    """Writes sums.csv (a hundred of them) and sums.toml; returns the latter."""
    with open(folder / "sums.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("first", "second", "sum"))
        for a, first in enumerate(NUMBERS):
            for b, second in enumerate(NUMBERS):
                rows.writerow((first, second, f"{a + b}, or {first} more than {second}"))
    path = folder / "sums.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


def get_config(arg: str = "") -> Run:
    """arg: the task's file; the cache of its store is made beside it."""
    run = tiny.get_config(arg)
    return dataclasses.replace(
        run,
        data=dataclasses.replace(
            run.data,
            train=Mixture((Corpus("sums", Task(arg), documents=(0.0, 0.9)),)),
            evaluation=(Corpus("held_out", Task(arg), documents=(0.9, 1.0)),),
        ),
        objective=TextToText(inputs_length=64, targets_length=48),
    )
