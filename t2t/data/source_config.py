"""Where text comes from: one frozen dataclass per kind of source, checked without touching a file.

Paths may be globs (`data/*.jsonl.gz`, sorted, `**` goes into folders), may be local or fsspec URLs
(`gs://`, `s3://`), and are read through gzip when they end in `.gz`.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from t2t.data.own_task_config import OwnTask
from t2t.errors import UserError


def _check_paths(paths: tuple[str, ...], where: str) -> None:
    if not paths:
        raise UserError(f"{where}.paths: no path given; name at least one file or glob")
    for path in paths:
        if not path.strip():
            raise UserError(f"{where}.paths: an empty path")
    repeated = {path for path in paths if paths.count(path) > 1}
    if repeated:
        raise UserError(
            f"{where}.paths: {min(repeated)!r} is listed twice; "
            "to read a source more often give it a larger rate"
        )


@dataclass(frozen=True)
class Jsonl:
    """One JSON object a line; `field` holds the text.

    spans: the field, if any, that lists what a segmenter has found in the text: [begin, end, "phrase"]
    and [begin, end, "entity"], in characters (for MaskedLM's unit ExternalSpans); of a dialogue also its
    turns, [begin, end, "query"] and [begin, end, "response"] (for its pairs="dialogue").
    """

    paths: tuple[str, ...]
    field: str = "text"
    spans: str = ""

    def check(self, where: str) -> None:
        _check_paths(self.paths, where)
        if not self.field:
            raise UserError(f"{where}.field: empty; name the key that holds the text")


@dataclass(frozen=True)
class Text:
    """Plain UTF-8 text; a document is a whole file, a line, or a blank-line-separated paragraph."""

    paths: tuple[str, ...]
    documents: Literal["file", "line", "paragraph"] = "file"

    def check(self, where: str) -> None:
        _check_paths(self.paths, where)


@dataclass(frozen=True)
class Csv:
    """A table with a header row, quoted as in RFC 4180; `delimiter="\\t"` reads TSV.

    `quoted=False` takes quotes as ordinary characters, which GLUE's TSV files need.
    """

    paths: tuple[str, ...]
    column: str
    delimiter: str = ","
    quoted: bool = True

    def check(self, where: str) -> None:
        _check_paths(self.paths, where)
        if not self.column:
            raise UserError(f"{where}.column: empty; name the column that holds the text")
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise UserError(
                f"{where}.delimiter: must be one character other than a quote or line break, "
                f"got {self.delimiter!r}"
            )


@dataclass(frozen=True)
class ArrayRecord:
    """ArrayRecord files. A record is told apart by its first byte when `field` is named:
    `{` is a JSON object, anything else a serialized tf.train.Example; `field=""` takes each record
    whole as UTF-8 text."""

    paths: tuple[str, ...]
    field: str = "text"

    def check(self, where: str) -> None:
        _check_paths(self.paths, where)


@dataclass(frozen=True)
class Tfds:
    """A prepared TFDS dataset, `name` as TFDS writes it: `name[/config][:version]`.

    `split` takes TFDS slices (`train[:10%]`). `field` is a text feature; parts of a nested feature
    are joined by `/` (`translation/en`). `data_dir=""` means TFDS_DATA_DIR, else TFDS's default.
    """

    name: str
    split: str = "train"
    field: str = "text"
    data_dir: str = ""

    def check(self, where: str) -> None:
        for key in ("name", "split", "field"):
            if not getattr(self, key):
                raise UserError(f"{where}.{key}: empty")


@dataclass(frozen=True)
class Docstrings:
    """The English prose of the Python environment itself: docstrings of the standard library and of
    installed packages, and pydoc's topics.

    `packages=()` takes the standard library and every installed package that is rich in prose;
    otherwise only the import names listed (`"stdlib"` for the standard library).
    `maximum_bytes` of UTF-8 text bounds the whole.
    """

    packages: tuple[str, ...] = ()
    maximum_bytes: int = 32_000_000

    def check(self, where: str) -> None:
        if self.maximum_bytes < 1:
            raise UserError(f"{where}.maximum_bytes: must be positive, got {self.maximum_bytes}")
        for package in self.packages:
            if not package.isidentifier():
                raise UserError(
                    f"{where}.packages: {package!r} is no import name (top level only, no dots)"
                )


@dataclass(frozen=True)
class Prepared:
    """A token store that `t2t prepare` has already written."""

    path: str

    def check(self, where: str) -> None:
        if not self.path.strip():
            raise UserError(f"{where}.path: empty; name the folder of a prepared token store")


@dataclass(frozen=True)
class Task:
    """The pairs of input and target of a text-to-text task.

    `name` is a task's name (`glue_sst2`, as `t2t tasks` lists them) or the path of a `.toml` file
    that describes one; `own` is in its place a task of yours, described in the recipe itself.
    `data` is the folder of its published files or prepared TFDS datasets; "" is TFDS's own. `limit`
    takes the first so many examples, 0 all.
    """

    name: str = ""
    split: str = "train"
    data: str = ""
    limit: int = 0
    own: OwnTask | None = None

    @property
    def called(self) -> str:
        return self.own.name if self.own else self.name

    def check(self, where: str) -> None:
        if self.own:
            if self.name:
                raise UserError(f"{where}.name: {self.name!r} beside an own task; give one of them")
            self.own.check(f"{where}.own")
        for key in ("called", "split"):
            if not getattr(self, key).strip():
                raise UserError(f"{where}.{key.replace('called', 'name')}: empty")
        if self.limit < 0:
            raise UserError(f"{where}.limit: {self.limit} is negative; 0 takes every example")


Source: TypeAlias = Jsonl | Text | Csv | ArrayRecord | Tfds | Docstrings | Prepared | Task
