"""LAMBADA (Paperno et al. 2016): the last word of a passage, from the passage before it.

T5 has no form of its own for it. `lambada` gives the context and asks for the word; in
`lambada_blank` the word is the blank of span corruption, as T5 was pre-trained.
Files: the plain text as published, a passage a line, or JSONL {text}.
"""

from collections.abc import Iterable, Iterator

from t2t.tasks.fields import text
from t2t.tasks.published_files import jsonl, lines_of, renamed
from t2t.tasks.task import Example, Layout, Placed, Record, Source, Task

BLANK = "<extra_id_0>"
_MARKS = ".,;:!?\"'\u2019\u201d)"


def _parts(record: Record) -> tuple[str, str]:
    context, _, word = text(record, "passage").rstrip().rpartition(" ")
    if not context.strip():
        raise ValueError("field 'passage' holds fewer than two words")
    return context, word


def lambada_example(record: Record, split: str) -> Iterable[Example]:
    """The context alone, and the word."""
    context, word = _parts(record)
    yield Example(context, word, word)


def lambada_blank_example(record: Record, split: str) -> Iterable[Example]:
    """The context with a blank at its end, and the blank filled with the word."""
    context, word = _parts(record)
    yield Example(f"{context} {BLANK}", f"{BLANK} {word}", word)


def read_first_word(prediction: str, example: Example) -> str | None:
    """The first word of what was written (after the blank's name); None for nothing.

    Who goes on with a text may end its sentence there: marks behind the word are no part of it, where
    the true word has none.
    """
    word = next(iter(prediction.replace(BLANK, " ", 1).split()), None)
    if word and str(example.truth)[-1:].isalnum():
        return word.rstrip(_MARKS) or word
    return word


def _plain(path: str) -> Iterator[Placed]:
    return ((place, {"passage": line}) for place, line in lines_of(path) if line.strip())


_SPLITS = ("validation", "test")
_SOURCE = Source(
    "lambada",
    layouts=(
        Layout(
            (
                ("validation", ("lambada_development_plain_text.txt",)),
                ("test", ("lambada_test_plain_text.txt",)),
            ),
            _plain,
        ),
        Layout((("test", ("lambada_test.jsonl",)),), renamed(jsonl, {"passage": "text"})),
    ),
    splits=(("validation", "train"),),  # TFDS takes the development set for training
)


def _task(name: str, examples) -> Task:
    return Task(
        name=name,
        suite="LAMBADA",
        source=_SOURCE,
        splits=_SPLITS,
        examples=examples,
        read=read_first_word,
        metrics=("accuracy", "perplexity"),
        judged="test",
        inputs_length=256,
        targets_length=16,
        goes_on=True,
    )


TASKS: tuple[Task, ...] = (
    _task("lambada", lambada_example),
    _task("lambada_blank", lambada_blank_example),
)
