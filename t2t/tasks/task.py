"""What a task is: a source and its splits, text in, text out, how an answer is read, what judges it.

A task is a value; nothing is registered. `t2t.tasks.catalog` lists those of the benchmark suites,
`t2t.tasks.own_task` makes one of a user's file.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

# One example as its source has it, features by TFDS's names.
Record: TypeAlias = dict[str, Any]
# A record and where it stands ("file:line"), for messages.
Placed: TypeAlias = tuple[str, Record]


@dataclass(frozen=True)
class Reading:
    """A question about a context, both as published, for models that point at the answer.

    answer: the characters [begin, end) of the context that are the target; None: it is not there, or
    the split has no labels. unanswerable: the context has no answer, and that is known.
    """

    question: str
    context: str
    answer: tuple[int, int] | None = None
    unanswerable: bool = False


@dataclass(frozen=True)
class Example:
    """One input and its target, as text.

    truth: what a read answer is compared with (a label's number, a tuple of right answers, a text);
    None where the split has no labels. group: examples that are judged together share it (all
    answers of one MultiRC question). id: the example's number or numbers in its benchmark; where it
    has none, the number of its record from 0. choices: the only possible targets, where they are
    given. reading: the same as a question over a context, where the answer is a part of one. texts: the
    one or two texts of the input as published, for models that tell its class; (): the input is one.
    """

    input: str
    target: str
    truth: Any = None
    group: tuple = ()
    id: tuple = ()
    choices: tuple[str, ...] = ()
    reading: Reading | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A way publishers lay a task's files out: per split the files that together make it up.

    A name `A/b.tsv` is looked for in the data folder as it is, with `.gz` added, and inside
    `A.zip`; `A.zip/b.tsv` only inside the archive. read(*paths) yields the records.
    """

    files: tuple[tuple[str, tuple[str, ...]], ...]
    read: Callable[..., Iterator[Placed]]


@dataclass(frozen=True)
class Source:
    """Where a task's records come from: a prepared TFDS dataset, or files in a published layout.

    lists: the TFDS features that hold any number of values; every other one holds a single value.
    names: (TFDS's, files') names of the features whose names differ. splits: (our, TFDS's) names
    of the splits whose names differ.
    """

    tfds: str = ""
    lists: tuple[str, ...] = ()
    layouts: tuple[Layout, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    splits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DecodingDefaults:
    """How a task's answers are searched for: one beam is greedy decoding, alpha the length penalty."""

    beams: int = 1
    alpha: float = 0.6


GREEDY = DecodingDefaults()
BEAM = DecodingDefaults(beams=4)  # T5's for long outputs


@dataclass(frozen=True)
class Task:
    """A text-to-text task.

    examples(record, split) gives the examples of a record, none where it is left out; it raises
    ValueError (KeyError for an absent feature) where the record is not what it should be.
    read(prediction, example) gives the value that is compared with `truth`, None where the
    prediction is no valid answer. metrics: names in t2t.evaluation.metrics.catalog, or a user's
    `module:function`. Lengths are in tokens, end of sequence included. judged: the split that is
    judged by default. labels: the only targets, in order of their numbers,
    where all examples have the same (their choices). goes_on: whether a text does not
    end with its target, so that a decoder alone is not asked whether it does. extractive: whether
    every example has a reading; unanswerable: whether some have no answer. posed: how a part of its context is written among the truths.
    """

    name: str
    suite: str
    source: Source
    splits: tuple[str, ...]
    examples: Callable[[Record, str], Iterable[Example]]
    read: Callable[[str, Example], Any]
    metrics: tuple[str, ...]
    judged: str = "validation"
    inputs_length: int = 512
    targets_length: int = 512
    decoding: DecodingDefaults = GREEDY
    labels: tuple[str, ...] = ()
    goes_on: bool = False
    extractive: bool = False
    unanswerable: bool = False
    posed: Callable[[str], str] = str


def text_answer(prediction: str, example: Example) -> str:
    """Reads an answer as it stands."""
    return prediction
