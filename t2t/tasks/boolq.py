"""BoolQ from its own release (Clark et al. 2019): questions as people typed them, yes or no.

The text is that of SuperGLUE's BoolQ, which is the same data, numbered, with a test set besides. Of the
plain texts (see `Example`) the question is the first, as in the paper's BERT and jiant.
"""

from collections.abc import Iterator

from t2t.tasks.labels import BOOLEANS, labelled, read_label
from t2t.tasks.published_files import jsonl, renamed
from t2t.tasks.task import Layout, Placed, Source, Task

_RELEASE = Layout(
    (("train", ("boolq/train.jsonl",)), ("validation", ("boolq/dev.jsonl",))),
    renamed(jsonl, {"question": "question", "passage": "passage", "label": "answer"}),
)


def _train(combined: str, validation: str) -> Iterator[Placed]:
    """The labelled records that are not among the validation examples."""
    judged = {(record["question"], record["passage"]) for _, record in jsonl(validation)}
    for place, record in jsonl(combined):
        if "label" in record and (record["question"], record["passage"]) not in judged:
            yield place, record


def _test(combined: str) -> Iterator[Placed]:
    """The records whose answers are hidden."""
    return ((place, record) for place, record in jsonl(combined) if "label" not in record)


# SuperGLUE's three splits in one file, as some distributions have them.
_ALL, _VALIDATION = "boolq_all_splits.jsonl", "superglue_BoolQ.val.jsonl"
COMBINED: tuple[Layout, ...] = (
    Layout((("train", (_ALL, _VALIDATION)),), _train),
    Layout((("validation", (_VALIDATION,)),), jsonl),
    Layout((("test", (_ALL,)),), _test),
)

posed = labelled("boolq", BOOLEANS, ("passage", "question"), texts=("{question}", "{passage}"))

TASKS: tuple[Task, ...] = (
    Task(
        name="boolq",
        suite="BoolQ",
        source=Source("bool_q", layouts=(_RELEASE, *COMBINED), names=(("answer", "label"),)),
        splits=("train", "validation"),
        examples=posed,
        read=read_label,
        metrics=("accuracy",),
        targets_length=62,
        labels=BOOLEANS,
    ),
)
