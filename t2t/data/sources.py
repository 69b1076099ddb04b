"""From a source's configuration to its documents: `shards` cuts it, `documents` reads one piece.

A shard is a picklable unit of parallel work. The list of shards is a function of the source's files
alone (never of the number of cores), so the order of documents is the same on every machine:
shard after shard, each from its beginning. Documents without a visible character are left out.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from t2t.data import files
from t2t.data.json_records import json_object, missing_field, text_under
from t2t.data.lines import Lines
from t2t.data.pairs import Pairs
from t2t.data.source_config import (
    ArrayRecord,
    Csv,
    Docstrings,
    Jsonl,
    Prepared,
    Source,
    Task,
    Text,
    Tfds,
)
from t2t.data.span_marks import read_spans
from t2t.errors import UserError, nearest

# Part of every fingerprint: raise it when the same files would yield other documents.
READER_VERSION = 1

# A plain file is cut at line boundaries into pieces of this size; of corpora so large that this
# would make more than MOST_PIECES pieces, the pieces grow.
PIECE_BYTES = 8 << 20
MOST_PIECES = 8192


@dataclass(frozen=True)
class Shard:
    """A part of a source: `path` from `begin` to `end` (-1: its end).

    `begin` and `end` count bytes in line-based files (a shard has the lines that start in its
    range) and records in ArrayRecord and TFDS files. For Docstrings `path` names the package,
    `members` its files, and `end` is the most bytes of text to yield. `format` is TFDS's file
    format.
    """

    source: Source | Pairs
    path: str
    begin: int = 0
    end: int = -1
    format: str = ""
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages: the path, and the range where it is a part."""
        if self.members or (self.begin == 0 and self.end == -1):
            return self.path
        return f"{self.path}[{self.begin}:{self.end}]"


def shards(source: Source | Pairs) -> list[Shard]:
    """The parts of a source in their fixed order. Lists files (and on object stores, objects).

    Raises UserError for files that are missing, named twice, or of the wrong kind.
    """
    match source:
        case Jsonl() | Text(documents="line"):
            return _line_shards(source)
        case Text() | Csv():
            return [Shard(source, file.path) for file in files.expand(source.paths)]
        case ArrayRecord():
            from t2t.data import record_files

            found = files.expand(source.paths)
            return [
                Shard(source, file.path, begin, end)
                for file in found
                for begin, end in record_files.array_record_ranges(file, PIECE_BYTES)
            ]
        case Tfds():
            from t2t.data import tfds_source

            return [
                Shard(source, part.path, part.begin, part.end, format=part.format)
                for part in tfds_source.parts(source, PIECE_BYTES)
            ]
        case Docstrings():
            from t2t.data import docstrings

            return [
                Shard(source, group.name, end=group.maximum_bytes, members=group.members)
                for group in docstrings.groups(source.packages, source.maximum_bytes)
            ]
        case Pairs():
            return [Shard(source, source.name)]
        case Prepared():
            raise ValueError("a prepared token store has tokens, not documents")
        case Task():
            raise ValueError("a task is opened first, by t2t.tasks.pairs")


def documents(shard: Shard) -> Iterator[str]:
    """The documents of one shard, in order. Raises UserError naming file and place.

    Of pairs every text is a document, also an empty one.
    """
    if isinstance(shard.source, Pairs):
        yield from shard.source.texts()
        return
    for text in _READERS[type(shard.source)](shard):
        if text and not text.isspace():
            yield text


def names(source: Source | Pairs) -> list[str]:
    """What a source reads, for messages: its files, or the dataset, packages or store it names."""
    match source:
        case Tfds():
            return [f"{source.name} ({source.split})"]
        case Task():
            return [f"{source.called} ({source.split})"]
        case Pairs():
            return [source.name]
        case Docstrings():
            return list(source.packages) or ["docstrings of this Python environment"]
        case Prepared():
            return [source.path]
        case _:
            return [file.path for file in files.expand(source.paths)]


def fingerprint(source: Source | Pairs) -> str:
    """A hash that changes when the documents may have changed; 32 hex digits.

    It covers the source's own fields (but not where its files lie) and, for every file in order,
    its path relative to the folder all share, its size and its version: the modification time of
    a local file, the ETag of an object. Contents are not read: at a terabyte that would cost more
    than preparing. So a copied or touched file counts as another one and is prepared again; a file
    changed behind the same size and time does not. TFDS goes by dataset, version and file sizes,
    Docstrings by Python's version and the sizes of the files, which installing anew leaves alone.
    Pairs go by every text, since they depend on a task's templates too.
    """
    match source:
        case Pairs():
            return source.fingerprint
        case Tfds():
            from t2t.data import tfds_source

            content = tfds_source.identity(source)
        case Docstrings():
            from t2t.data import docstrings

            content = docstrings.identity(source.packages)
        case Prepared():
            raise ValueError("a prepared token store has its own fingerprint")
        case _:
            found = files.expand(source.paths)
            shared = _shared_folder([file.path for file in found])
            content = [[file.path[len(shared) :], file.size, file.version] for file in found]
    fields = {k: v for k, v in asdict(source).items() if k not in ("paths", "data_dir")}
    if not fields.get("spans"):  # as before there were any
        fields.pop("spans", None)
    identity = [READER_VERSION, type(source).__name__, fields, content]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def _shared_folder(paths: list[str]) -> str:
    folders = [path.split("/")[:-1] for path in paths]
    shared = 0
    while all(len(f) > shared for f in folders) and len({f[shared] for f in folders}) == 1:
        shared += 1
    return "".join(part + "/" for part in folders[0][:shared])


# --- line-based files ---------------------------------------------------------------------------


def _line_shards(source: Jsonl | Text) -> list[Shard]:
    found = files.expand(source.paths)
    plain = sum(file.size for file in found if not files.is_gzip(file.path))
    piece = max(PIECE_BYTES, -(-plain // MOST_PIECES))
    result = []
    for file in found:
        if files.is_gzip(file.path) or file.size <= piece:
            result.append(Shard(source, file.path))
        else:
            cuts = [*range(0, file.size, piece), file.size]
            result += [Shard(source, file.path, a, b) for a, b in zip(cuts, cuts[1:], strict=False)]
    return result


def _jsonl(shard: Shard) -> Iterator[str]:
    lines = Lines(shard.path, shard.begin, shard.end)
    field, spans = shard.source.field, shard.source.spans
    for line in lines:
        if line.isspace():
            continue
        try:
            value = json_object(line)
            text = text_under(field, value, line)
            if spans:
                if spans not in value:
                    raise ValueError(missing_field(spans, value))
                text = read_spans(text, value[spans], spans)
        except ValueError as error:
            raise lines.error(str(error)) from error
        yield text


def _text(shard: Shard) -> Iterator[str]:
    lines = Lines(shard.path, shard.begin, shard.end)
    match shard.source.documents:
        case "file":
            yield "".join(lines)
        case "line":
            for line in lines:
                yield line.rstrip("\r\n")
        case "paragraph":
            paragraph: list[str] = []
            for line in lines:
                if line.isspace():
                    yield "".join(paragraph).strip()
                    paragraph = []
                else:
                    paragraph.append(line)
            yield "".join(paragraph).strip()


def _csv(shard: Shard) -> Iterator[str]:
    source = shard.source
    lines = Lines(shard.path)
    csv.field_size_limit(2**31 - 1)
    rows = csv.reader(
        lines,
        delimiter=source.delimiter,
        quoting=csv.QUOTE_MINIMAL if source.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    try:
        header = next(rows, None)
        if header is None:
            return
        if source.column not in header:
            raise lines.error(
                f"no column {source.column!r} in the header"
                + (nearest(source.column, header) or f"; it has {', '.join(map(repr, header))}")
            )
        column = header.index(source.column)
        for row in rows:
            if not row:  # a blank line
                continue
            if len(row) != len(header):
                raise lines.error(
                    f"{len(row)} fields where the header has {len(header)}; "
                    "check the delimiter and the quotes"
                )
            yield row[column]
    except csv.Error as error:
        raise lines.error(
            f"not a table of {source.delimiter!r}-separated fields: {error}"
        ) from error


# --- record files, datasets, docstrings ---------------------------------------------------------


def _array_record(shard: Shard) -> Iterator[str]:
    from t2t.data import record_files

    decode = _record_decoder(shard.source.field)
    records = record_files.array_records(shard.path, shard.begin, shard.end)
    for number, record in enumerate(records, shard.begin):
        try:
            yield decode(record)
        except ValueError as error:
            raise UserError(f"{shard.path}: record {number}: {error}") from error


def _record_decoder(field: str) -> Callable[[bytes], str]:
    from t2t.data import record_files

    def decode(record: bytes) -> str:
        if not field:
            return record_files.utf8(record)
        if record[:1] == b"{":
            text = record_files.utf8(record)
            return text_under(field, json_object(text), text)
        return record_files.example_text(record, field)

    return decode


def _tfds(shard: Shard) -> Iterator[str]:
    from t2t.data import tfds_source

    return tfds_source.texts(shard.path, shard.format, shard.begin, shard.end, shard.source.field)


def _docstrings(shard: Shard) -> Iterator[str]:
    from t2t.data import docstrings

    return docstrings.texts(shard.members, shard.end)


_READERS: dict[type, Callable[[Shard], Iterator[str]]] = {
    Jsonl: _jsonl,
    Text: _text,
    Csv: _csv,
    ArrayRecord: _array_record,
    Tfds: _tfds,
    Docstrings: _docstrings,
}
