"""Reading files as their publishers lay them out; what is wrong is told as file, line and field."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator

from t2t.data import files
from t2t.data.json_records import json_object, missing_field
from t2t.data.lines import Lines
from t2t.errors import UserError
from t2t.tasks.task import Placed, Record


def jsonl(path: str) -> Iterator[Placed]:
    """One JSON object a line."""
    lines = Lines(path)
    for line in lines:
        if line.isspace():
            continue
        try:
            record = json_object(line)
        except ValueError as error:
            raise lines.error(str(error)) from error
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


def entries(path: str, key: str) -> Iterator[Placed]:
    """The objects listed under `key` of a file that is one JSON object."""
    found = json_document(path).get(key)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UserError(f"{path}: has no list of objects under {key!r}")
    for number, entry in enumerate(found):
        yield f"{path}: {key}[{number}]", entry


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
    rows too short are left out and too long ones cut (GLUE has both) instead of refused; the
    records say under `#` what row they are, from 0.
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
            if twice := {name for name in names if names.count(name) > 1}:
                raise lines.error(f"the header names {min(twice)!r} twice")
        for number, row in enumerate(row for row in rows if row):
            if len(row) != len(names) and not ragged:
                raise lines.error(
                    f"{len(row)} fields where the header has {len(names)}; "
                    "check the delimiter and the quotes"
                )
            if len(row) >= len(names):
                record: Record = dict(zip(names, row, strict=False))
                yield f"{path}:{lines.line}", record | ({"#": number} if ragged else {})
    except csv.Error as error:
        raise lines.error(f"not a table of {delimiter!r}-separated fields: {error}") from error


def renamed(
    read: Callable[..., Iterator[Placed]], names: dict[str, str]
) -> Callable[..., Iterator[Placed]]:
    """A reader whose records have new names {new: published}, and `idx`: as published, else the
    record's number from 0.

    A published name in parentheses may be absent (a test split has no label).
    """

    def records(*paths: str) -> Iterator[Placed]:
        for number, (place, published) in enumerate(read(*paths)):
            number = published.pop("#", number)
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


def flattened(
    read: Callable[..., Iterator[Placed]], parts: Callable[[Record], Iterable[Record]]
) -> Callable[..., Iterator[Placed]]:
    """A reader that makes records of each nested one: those that `parts` takes out of it.

    Raises UserError where it is not nested as its publisher says.
    """

    def records(*paths: str) -> Iterator[Placed]:
        for place, published in read(*paths):
            try:
                found = list(parts(published))
            except (KeyError, TypeError, AttributeError, IndexError) as error:
                raise UserError(
                    f"{place}: not laid out as its publisher does ({type(error).__name__}: {error})"
                ) from error
            for record in found:
                yield place, record

    return records


def every(read: Callable[[str], Iterator[Placed]]) -> Callable[..., Iterator[Placed]]:
    """A reader of several files, one after the other."""

    def records(*paths: str) -> Iterator[Placed]:
        for path in paths:
            yield from read(path)

    return records


_SEGMENT = re.compile(r'<seg id="\d+">(.*)</seg>')


def _sentences(path: str) -> Iterator[tuple[str, str]]:
    """(place, sentence) of a text file, a line each, or of WMT's SGML, as they stand in its tags."""
    if not path.removesuffix(".gz").endswith(".sgm"):
        yield from lines_of(path)
        return
    for place, line in lines_of(path):
        if found := _SEGMENT.match(line.strip()):
            yield place, found[1]


def parallel(*names: str) -> Callable[..., Iterator[Placed]]:
    """A reader of files whose sentences belong together: number n of each, under these names.

    Of more files than names each run of `len(names)` is one corpus, one after the other. Where a
    side is empty there is no record (as TFDS does).
    """

    def records(*paths: str) -> Iterator[Placed]:
        for first in range(0, len(paths), len(names)):
            corpus = paths[first : first + len(names)]
            for rows in _together([_sentences(path) for path in corpus], corpus):
                record = {name: text for name, (_, text) in zip(names, rows, strict=True)}
                if all(record.values()):
                    yield rows[0][0], record

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
