"""Reading files as their publishers lay them out; what is wrong is told as file, line and field."""

import csv
import json
from collections.abc import Callable, Iterator

from t2t.data import files
from t2t.data.sources import Lines, missing_field
from t2t.errors import UserError
from t2t.tasks.task import Placed


def jsonl(path: str) -> Iterator[Placed]:
    """One JSON object a line."""
    lines = Lines(path)
    for line in lines:
        if line.isspace():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise lines.error(f"not JSON: {error.msg} at column {error.pos + 1}") from error
        if not isinstance(record, dict):
            raise lines.error("not a JSON object")
        yield f"{path}:{lines.line}", record


def json_document(path: str) -> dict:
    """A file that is one JSON object."""
    try:
        value = json.loads(files.read_bytes(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: not a JSON object")
    return value


def lines_of(path: str) -> Iterator[tuple[str, str]]:
    """(place, line) of a text file."""
    lines = Lines(path)
    for line in lines:
        yield f"{path}:{lines.line}", line.rstrip("\r\n")


def table(
    path: str,
    columns: tuple[str, ...] = (),
    *,
    delimiter: str = "\t",
    quoted: bool = False,
    ragged: bool = False,
) -> Iterator[Placed]:
    """Rows of a separated table, by the header's names or, where it has no header, by `columns`.

    quoted: fields as in RFC 4180; otherwise quotes are ordinary characters, as in GLUE. ragged:
    rows too short are left out and too long ones cut (GLUE has both) instead of refused.
    """
    lines = Lines(path)
    csv.field_size_limit(2**31 - 1)
    rows = csv.reader(
        lines,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    names = list(columns)
    try:
        if not names:
            names = next(rows, [])
        for row in rows:
            if not row:
                continue
            if len(row) != len(names) and not ragged:
                raise lines.error(
                    f"{len(row)} fields where the header has {len(names)}; "
                    "check the delimiter and the quotes"
                )
            if len(row) >= len(names):
                yield f"{path}:{lines.line}", dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise lines.error(f"not a table of {delimiter!r}-separated fields: {error}") from error


def renamed(
    read: Callable[..., Iterator[Placed]], names: dict[str, str]
) -> Callable[..., Iterator[Placed]]:
    """A reader whose records have new names {new: published}, and `idx`, their number from 0.

    A published name in parentheses may be absent (a test split has no label).
    """

    def records(*paths: str) -> Iterator[Placed]:
        for number, (place, published) in enumerate(read(*paths)):
            record = {"idx": published.get("idx", number)}
            for new, old in names.items():
                optional = old.startswith("(")
                old = old.strip("()")
                if old in published:
                    record[new] = published[old]
                elif not optional:
                    raise UserError(f"{place}: {missing_field(old, published)}")
            yield place, record

    return records


def numbered(read: Callable[[str], Iterator[Placed]]) -> Callable[..., Iterator[Placed]]:
    """A reader that keeps the published names and adds `#`, the record's number from 0."""

    def records(path: str) -> Iterator[Placed]:
        for number, (place, record) in enumerate(read(path)):
            yield place, {**record, "#": number}

    return records


def every(read: Callable[[str], Iterator[Placed]]) -> Callable[..., Iterator[Placed]]:
    """A reader of several files, one after the other."""

    def records(*paths: str) -> Iterator[Placed]:
        for path in paths:
            yield from read(path)

    return records


def parallel(*names: str) -> Callable[..., Iterator[Placed]]:
    """A reader of files whose lines belong together: line n of each, under these names."""

    def records(*paths: str) -> Iterator[Placed]:
        streams = [lines_of(path) for path in paths]
        for number, rows in enumerate(_together(streams, paths)):
            texts = {name: text for name, (_, text) in zip(names, rows, strict=True)}
            yield rows[0][0], {"idx": number, **texts}

    return records


def _together(streams: list[Iterator], paths: tuple[str, ...]) -> Iterator[list]:
    while True:
        rows = [next(stream, None) for stream in streams]
        ended = [path for path, row in zip(paths, rows, strict=True) if row is None]
        if len(ended) == len(paths):
            return
        if ended:
            place = next(row[0] for row in rows if row is not None)
            raise UserError(f"{ended[0]}: ends before {place}; the files have different lengths")
        yield rows
