"""A task with a blank at the end of its input, which the target fills: the form of span corruption.

T5 poses SuperGLUE so besides (`..._1_sentinel`): it helps models that were only pre-trained, above all
on small sets. An input that is cut for its length loses its blank, which T5 keeps.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from t2t.tasks.labels import UNLABELLED
from t2t.tasks.task import Example, Record, Task

SUFFIX = "_1_sentinel"
SENTINEL = "<extra_id_0>"


def with_sentinel(task: Task) -> Task:
    """The task, its name with the suffix; predictions are read without the sentinel."""

    def examples(record: Record, split: str) -> Iterable[Example]:
        for one in task.examples(record, split):
            yield dataclasses.replace(
                one,
                input=f"{one.input} {SENTINEL}",
                target=_filled(one.target),
                choices=tuple(map(_filled, one.choices)),
                texts=(),
            )

    def read(prediction: str, example: Example) -> Any:
        plain = dataclasses.replace(
            example,
            target=_bare(example.target),
            choices=tuple(map(_bare, example.choices)),
        )
        return task.read(_bare(prediction), plain)

    return dataclasses.replace(task, name=task.name + SUFFIX, examples=examples, read=read)


def _filled(text: str) -> str:
    return text if text == UNLABELLED else f"{SENTINEL} {text}"


def _bare(text: str) -> str:
    return text.removeprefix(SENTINEL).strip() if text.startswith(SENTINEL) else text
