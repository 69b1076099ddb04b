"""Summaries: CNN/DailyMail as T5 poses it, and XSum in the same form, `summarize: ARTICLE`.

Files: CNN/DailyMail's stories with the lists of addresses that make its splits, XSum's articles with
the JSON that makes its, or JSONL with TFDS's names. Lengths 512/512 and beams of 4 (T5); XSum's one
sentence needs 128.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator

from t2t.data import files
from t2t.errors import UserError
from t2t.tasks.fields import text
from t2t.tasks.labels import own_number
from t2t.tasks.published_files import json_document, jsonl, lines_of
from t2t.tasks.task import BEAM, Example, Layout, Placed, Record, Source, Task, text_answer

SPLITS = ("train", "validation", "test")


def summarize(article: str, summary: str) -> Callable[[Record, str], Iterable[Example]]:
    """Examples from the features that hold the article and its summary."""

    def examples(record: Record, split: str) -> Iterable[Example]:
        shown, target = f"summarize: {text(record, article)}", text(record, summary)
        number = (record["id"],) if "id" in record else own_number(record)
        yield Example(shown, target, target, id=number)

    return examples


# --- CNN/DailyMail: stories in two folders, a list of addresses a split -----------------------------

_FOLDERS = ("cnn/stories", "dailymail/stories")
_ENDS = (".", "!", "?", "'", "`", '"', "\u2019", "\u201d", ")")


def stories(path: str) -> Iterator[Placed]:
    """{article, highlights, id} of every address of a list: its story is named by the SHA-1.

    Stories without an article or without highlights are left out, as TFDS does.
    """
    folders = [os.path.join(os.path.dirname(os.path.dirname(path)), one) for one in _FOLDERS]
    for place, line in lines_of(path):
        name = hashlib.sha1(line.strip().encode()).hexdigest()
        found = [f"{folder}/{name}.story" for folder in folders]
        found = [story for story in found if os.path.isfile(story)]
        if not found:
            raise UserError(f"{place}: no {name}.story in {' or '.join(folders)}")
        article, highlights = story(files.read_bytes(found[0]).decode(errors="replace"))
        if article and highlights:
            yield found[0], {"article": article, "highlights": highlights, "id": name}


def story(content: str) -> tuple[str, str]:
    """A story's article as one line and its highlights, a line each; lines get their full stop."""
    lines = [line.strip() for line in content.split("\n")]
    article: list[str] = []
    highlights: list[str] = []
    part = article
    for line in filter(None, lines):
        if line.startswith("@highlight"):
            part = highlights
        else:
            part.append(line if line.endswith(_ENDS) or "@highlight" in line else line + ".")
    return " ".join(article), "\n".join(highlights)


_STORIES = Layout(
    tuple(
        (split, (f"url_lists/all_{file}.txt",))
        for split, file in (("train", "train"), ("validation", "val"), ("test", "test"))
    ),
    stories,
)

# --- XSum: an article a file, one list for all splits ------------------------------------------------

_XSUM_SPLITS = "XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json"
_XSUM_FOLDER = "xsum-extracts-from-downloads"
_BUTTONS = frozenset(  # what the download of a page leaves of its sharing buttons
    [
        "Share this with",
        "Email",
        "Facebook",
        "Messenger",
        "Twitter",
        "Pinterest",
        "WhatsApp",
        "Linkedin",
        "LinkedIn",
        "Copy this link",
        "These are external links and will open in a new window",
    ]
)


def extracts(path: str, split: str) -> Iterator[Placed]:
    """{document, summary, id} of every article of a split that was downloaded (TFDS's cleaning)."""
    folder = os.path.join(os.path.dirname(path), _XSUM_FOLDER)
    names = json_document(path).get(split)
    if not isinstance(names, list) or not os.path.isdir(folder):
        raise UserError(f"{path}: lists no {split!r}, or there is no folder {folder} beside it")
    for name in names:
        article = f"{folder}/{name}.data"
        if not os.path.isfile(article):
            continue
        lines = files.read_bytes(article).decode(errors="replace").splitlines()
        kept = "\n".join(line for line in lines if line.strip() and line not in _BUTTONS)
        parts = [part.strip() for part in kept.split("[XSUM]")]
        if len(parts) != 7:
            raise UserError(f"{article}: not an address, an introduction and a body after [XSUM]")
        yield article, {"document": parts[6], "summary": parts[4], "id": str(name)}


_EXTRACTS = tuple(
    Layout(((split, (_XSUM_SPLITS,)),), functools.partial(extracts, split=split))
    for split in SPLITS
)

# --- The tasks ----------------------------------------------------------------------------------


def _jsonl(pattern: str, **names: str) -> Layout:
    names = names or {split: split for split in SPLITS}
    return Layout(tuple((s, (pattern.format(name),)) for s, name in names.items()), jsonl)


TASKS: tuple[Task, ...] = (
    Task(
        name="cnn_dailymail",
        suite="CNN/DailyMail",
        source=Source(
            "cnn_dailymail",
            layouts=(
                _STORIES,
                _jsonl("cnn_dailymail/{}.jsonl"),
                _jsonl("cnn_dailymail.{}.jsonl"),
            ),
        ),
        splits=SPLITS,
        examples=summarize("article", "highlights"),
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
                *_EXTRACTS,
                _jsonl("xsum/{}.jsonl"),
                _jsonl("xsum.{}.jsonl"),
                _jsonl("xsum_{}.jsonl", test="test1000"),
            ),
        ),
        splits=SPLITS,
        examples=summarize("document", "summary"),
        read=text_answer,
        metrics=("rouge",),
        judged="test",
        targets_length=128,
        decoding=BEAM,
    ),
)
