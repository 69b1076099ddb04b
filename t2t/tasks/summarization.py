"""Summaries: CNN/DailyMail as T5 poses it, and XSum in the same form, `summarize: ARTICLE`.

Files: JSONL with TFDS's names. Lengths 512/512 and beams of 4 (T5); XSum's one sentence needs 128.
"""

from collections.abc import Callable, Iterable

from t2t.tasks.published_files import jsonl, renamed
from t2t.tasks.task import BEAM, Example, Layout, Record, Source, Task, text_answer

SPLITS = ("train", "validation", "test")


def summarize(article: str, summary: str) -> Callable[[Record, str], Iterable[Example]]:
    """Examples from the features that hold the article and its summary."""

    def examples(record: Record, split: str) -> Iterable[Example]:
        text, target = f"summarize: {record[article]}", record[summary]
        yield Example(text, target, target, id=(record.get("id", record.get("idx", "")),))

    return examples


def _jsonl(name: str, columns: tuple[str, ...], **files: str) -> Layout:
    files = files or {split: split for split in SPLITS}
    names = tuple((split, (f"{name}{file}.jsonl",)) for split, file in files.items())
    return Layout(names, renamed(jsonl, {column: column for column in columns}))


_CNN, _XSUM = ("article", "highlights"), ("document", "summary")

TASKS: tuple[Task, ...] = (
    Task(
        name="cnn_dailymail",
        suite="CNN/DailyMail",
        source=Source(
            "cnn_dailymail",
            layouts=(_jsonl("cnn_dailymail/", _CNN), _jsonl("cnn_dailymail.", _CNN)),
        ),
        splits=SPLITS,
        examples=summarize(*_CNN),
        read=text_answer,
        metrics=("rouge",),
        decoding=BEAM,
    ),
    Task(
        name="xsum",
        suite="XSum",
        source=Source(
            "xsum",
            layouts=(
                _jsonl("xsum/", _XSUM),
                _jsonl("xsum.", _XSUM),
                _jsonl("xsum_", _XSUM, test="test1000"),
            ),
        ),
        splits=SPLITS,
        examples=summarize(*_XSUM),
        read=text_answer,
        metrics=("rouge",),
        judged="test",
        targets_length=128,
        decoding=BEAM,
    ),
)
