"""WikiSplit (Botha et al. 2018): a sentence rewritten as two.

T5 has no form of its own for it; the prefix follows its style. Files: the TSV as published, whose
mark between the two sentences becomes a space (T5's vocabulary cannot spell it).
"""

import functools
from collections.abc import Iterable

from t2t.tasks.fields import text
from t2t.tasks.published_files import table
from t2t.tasks.task import BEAM, Example, Layout, Record, Source, Task, text_answer

PREFIX = "split: "
_BOUNDARY = " <::::> "


def wikisplit_example(record: Record, split: str) -> Iterable[Example]:
    """The long sentence, and the two that say the same."""
    sentences = text(record, "sentences")
    if _BOUNDARY not in sentences:
        raise ValueError(f"field 'sentences' has no {_BOUNDARY.strip()} between two sentences")
    target = sentences.replace(_BOUNDARY, " ")
    yield Example(PREFIX + text(record, "sentence"), target, target)


def _layout(pattern: str) -> Layout:
    splits = ("train", "tune", "validation", "test")
    return Layout(
        tuple((split, (pattern.format(split),)) for split in splits),
        functools.partial(table, columns=("sentence", "sentences")),
    )


TASKS: tuple[Task, ...] = (
    Task(
        name="wikisplit",
        suite="WikiSplit",
        source=Source("", layouts=(_layout("wikisplit.{}.tsv"), _layout("wiki-split/{}.tsv"))),
        splits=("train", "tune", "validation", "test"),
        examples=wikisplit_example,
        read=text_answer,
        metrics=("bleu", "sequence_accuracy", "edit_distance"),
        inputs_length=128,
        targets_length=128,
        decoding=BEAM,
    ),
)
