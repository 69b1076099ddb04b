"""The examples of a task's split: files in the data folder first, else the prepared dataset."""

import itertools
import os
import zipfile
from collections.abc import Iterator

from t2t.data import tfds_source
from t2t.data.sources import missing_field
from t2t.errors import UserError, nearest
from t2t.tasks.task import Example, Layout, Placed, Source, Task


def examples(task: Task, split: str, data: str = "", limit: int = 0) -> Iterator[Example]:
    """Yields the examples of a split, in the order of its source; `limit` of them unless 0.

    data: the folder that holds published files (any of the task's layouts, no conversion) or
    prepared TFDS datasets; "" is TFDS's own folder.
    Raises UserError for a split or file that is not there, or naming file, line and field of a
    record that is not what it should be.
    """
    if split not in task.splits:
        raise UserError(
            f"{task.name}: has no split {split!r}{nearest(split, task.splits)}; "
            f"its splits are {', '.join(task.splits)}"
        )
    made = _made(task, split, records(task.source, task.name, split, data))
    yield from itertools.islice(made, limit) if limit else made


def _made(task: Task, split: str, placed: Iterator[Placed]) -> Iterator[Example]:
    for place, record in placed:
        try:
            yield from task.examples(record, split)
        except KeyError as error:
            raise UserError(f"{place}: {missing_field(error.args[0], record)}") from error
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error


def records(source: Source, name: str, split: str, data: str = "") -> Iterator[Placed]:
    """The records of a split, from the first layout whose files are there, else from TFDS."""
    missing = []
    for layout in source.layouts:
        paths, absent = located(layout, split, data)
        if paths:
            return layout.read(*paths)
        missing += absent
    if not source.tfds:
        raise UserError(_not_found(name, split, data, missing))
    try:
        placed = tfds_source.whole_records(source.tfds, split, data)
        first = next(placed, None)
    except UserError as error:
        if data and missing:
            raise UserError(f"{_not_found(name, split, data, missing)}; nor {error}") from error
        raise
    rest = itertools.chain([first] if first else [], placed)
    return ((place, _single(values, source.lists)) for place, values in rest)


def _not_found(name: str, split: str, data: str, missing: list[str]) -> str:
    wanted = " or ".join(missing) or f"no published file makes up the split {split!r}"
    return f"{name}: --data={data or '(not given)'} holds no {wanted}"


def located(layout: Layout, split: str, data: str) -> tuple[tuple[str, ...], list[str]]:
    """The files of a split, () unless all are there, and the names of the absent ones."""
    names = dict(layout.files).get(split, ())
    found = [_find(name, data) for name in names]
    absent = [name for name, path in zip(names, found, strict=True) if path is None]
    return (tuple(found) if names and not absent else ()), absent


def _find(name: str, data: str) -> str | None:
    for candidate in (name, name + ".gz"):
        path = os.path.join(os.path.expanduser(data), candidate)
        if os.path.isfile(path):
            return path
    folder, _, inner = name.partition("/")
    if inner and folder.endswith(".zip"):
        return _inside(os.path.join(data, folder), inner)
    return _inside(os.path.join(data, folder + ".zip"), name) if inner else None


def _inside(archive: str, inner: str) -> str | None:
    """The address of a file inside a zip archive, where it is there."""
    archive = os.path.expanduser(archive)
    if not os.path.isfile(archive):
        return None
    try:
        with zipfile.ZipFile(archive) as opened:
            return f"zip://{inner}::{archive}" if inner in opened.namelist() else None
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive}: not a zip archive, or a damaged one ({error})") from error


def _single(values: dict[str, list], lists: tuple[str, ...]) -> dict:
    """A TFDS record with single values out of their lists; a feature without a value is left out."""
    return {
        key: value if key in lists else value[0]
        for key, value in values.items()
        if key in lists or value
    }
