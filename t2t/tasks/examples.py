"""The examples of a task's split: files in the data folder first, else the prepared dataset."""

import dataclasses
import itertools
import os
import zipfile
from collections.abc import Iterator

from t2t.data import files, tfds_source
from t2t.data.json_records import missing_field
from t2t.errors import UserError, nearest
from t2t.tasks.task import Example, Layout, Placed, Source, Task


def examples(task: Task, split: str, data: str = "", limit: int = 0) -> Iterator[Example]:
    """Yields the examples of a split, in the order of its source; `limit` of them unless 0.

    data: the folder that holds published files (any of the task's layouts, no conversion) or
    prepared TFDS datasets; "" is the current folder and TFDS's own.
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
    for number, (place, record) in enumerate(placed):
        try:
            found = list(task.examples(record, split))
        except KeyError as error:
            raise UserError(f"{place}: {missing_field(error.args[0], record)}") from error
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error
        for example in found:
            yield example if example.id else dataclasses.replace(example, id=(number,))


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
        placed = tfds_source.whole_records(source.tfds, dict(source.splits).get(split, split), data)
        first = next(placed, None)
    except UserError as error:
        if missing:
            raise UserError(f"{_not_found(name, split, data, missing)}; nor {error}") from error
        raise
    rest = itertools.chain([first] if first else [], placed)
    return ((place, _single(values, source)) for place, values in rest)


def _not_found(name: str, split: str, data: str, missing: list[str]) -> str:
    wanted = (
        " or ".join(dict.fromkeys(missing)) or f"no published file makes up the split {split!r}"
    )
    return f"{name}: --data={data or '(not given)'} holds no {wanted}"


def located(layout: Layout, split: str, data: str) -> tuple[tuple[str, ...], list[str]]:
    """The files of a split, () unless all are there, and the names of the absent ones."""
    names = dict(layout.files).get(split, ())
    found = [_find(name, os.path.expanduser(data)) for name in names]
    absent = [name for name, path in zip(names, found, strict=True) if path is None]
    return (tuple(found) if names and not absent else ()), absent


def _find(name: str, data: str) -> str | None:
    for candidate in (name, name + ".gz"):
        path = candidate if files.is_remote(candidate) else os.path.join(data, candidate)
        if _is_file(path):
            return path
    folder, _, inner = name.partition("/")
    if inner and folder.endswith(".zip"):
        return _inside(os.path.join(data, folder), inner)
    return _inside(os.path.join(data, folder + ".zip"), name) if inner else None


def _is_file(path: str) -> bool:
    if not files.is_remote(path):
        return os.path.isfile(path)
    try:
        files.stat(path)
    except UserError:
        return False
    return True


def _inside(archive: str, inner: str) -> str | None:
    """The address of a file inside a (local) zip archive, where it is there."""
    if not os.path.isfile(archive):
        return None
    try:
        with zipfile.ZipFile(archive) as opened:
            return f"zip://{inner}::{archive}" if inner in opened.namelist() else None
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive}: not a zip archive, or a damaged one ({error})") from error


def _single(values: dict[str, list], source: Source) -> dict:
    """A TFDS record with single values out of their lists, under the names that files have; a
    feature without a value is left out."""
    names = dict(source.names)
    return {
        names.get(key, key): value if key in source.lists else value[0]
        for key, value in values.items()
        if key in source.lists or value
    }
