"""Prepared TFDS datasets, read without TensorFlow.

TFDS itself reads the dataset's description and resolves splits and slices (`train[:10%]`); the
files it names are read here, ArrayRecord and TFRecord alike, a record being a tf.train.Example. A
dataset is found by its folder, `data_dir/name[/config]/version`, so its builder is not imported:
those of many datasets (glue, c4, ...) need TensorFlow.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from t2t.data import files, record_files
from t2t.data.source_config import Tfds
from t2t.errors import UserError, install_extra, nearest

_FORMATS = ("array_record", "tfrecord")
_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[\w.+=-]+))?(:(?P<version>\d+\.\d+\.\d+))?$")


class Part(NamedTuple):
    """Records [begin, end) of one file."""

    path: str
    begin: int
    end: int
    format: str


def data_dir(source: Tfds) -> str:
    """Where datasets are looked for: as given, else TFDS_DATA_DIR, else TFDS's own default."""
    default = os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    return os.path.expanduser((source.data_dir or default).rstrip("/"))


def folder(source: Tfds) -> str:
    """The folder of the dataset's newest prepared version, or of the version named.

    Raises UserError where it is not prepared (with the command that does it), or where it has
    several configs and none is named.
    """
    parsed = _NAME.match(source.name)
    if not parsed:
        raise UserError(
            f"{source.name}: no TFDS dataset name; write name, name/config or name/config:1.2.3"
        )
    name, config, version = parsed["name"], parsed["config"], parsed["version"]
    root = data_dir(source)
    base = f"{root}/{name}"
    found = _prepared(base)  # (config or "", version)
    if config and all(c != config for c, _ in found) and any(c for c, _ in found):
        configs = sorted({c for c, _ in found})
        raise UserError(
            f"{source.name}: {root} holds no config {config!r} of it"
            + (nearest(config, configs) or f" but {', '.join(configs)}")
            + f"; {_command(source)}"
        )
    found = [(c, v) for c, v in found if c == (config or c)]
    if not found:
        hint = nearest(name, _folders(root)) if not _folders(base) else ""
        raise UserError(f"{source.name}: not prepared in {root}{hint}; {_command(source)}")
    configs = sorted({c for c, _ in found})
    if len(configs) > 1:
        raise UserError(
            f"{source.name}: prepared in several configs; name one, as in {name}/{configs[0]} "
            f"(there are {', '.join(c or 'one without a name' for c in configs)})"
        )
    versions = [v for _, v in found]
    if version and version not in versions:
        raise UserError(
            f"{source.name}: {base} holds version {', '.join(versions)} of it; {_command(source)}"
        )
    newest = version or max(versions, key=lambda v: tuple(map(int, v.split("."))))
    return "/".join(filter(None, [base, configs[0], newest]))


def _command(source: Tfds) -> str:
    where = f" --data_dir={source.data_dir}" if source.data_dir else ""
    return (
        f"prepare it with: python -m t2t.data.tfds_prepare {source.name}{where} "
        f"(most datasets need TensorFlow; {install_extra('tf')})"
    )


def _folders(path: str) -> list[str]:
    try:
        return sorted(e.name for e in os.scandir(path) if e.is_dir())
    except OSError:
        return []


def _prepared(base: str) -> list[tuple[str, str]]:
    """(config, version) of every prepared dataset under `base`; config is "" where there is none."""
    result = []
    for first in _folders(base):
        if _is_version(first):
            candidates = [("", first)]
        else:
            candidates = [(first, v) for v in _folders(f"{base}/{first}") if _is_version(v)]
        for config, version in candidates:
            path = "/".join(filter(None, [base, config, version, "dataset_info.json"]))
            if os.path.isfile(path):
                result.append((config, version))
    return result


def _is_version(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+\.\d+", name) is not None


def _instructions(source: Tfds):
    """TFDS's description of the dataset and, for the split, its list of (file, skip, take).

    A source without a field (which no configuration can have) takes whole records.
    """
    if files.is_remote(source.data_dir):
        raise UserError(
            f"{source.data_dir}: TFDS datasets are read from local folders; copy it, "
            "or name its record files as an ArrayRecord source"
        )
    import tensorflow_datasets as tfds

    path = folder(source)
    try:
        info = tfds.builder_from_directory(path).info
    except Exception as error:  # whatever a damaged description makes TFDS raise
        raise UserError(f"{path}: no readable TFDS dataset ({_short(error)})") from error
    format = info.file_format.value if info.file_format is not None else "none"
    if format not in _FORMATS:
        raise UserError(
            f"{path}: its files are {format}; only {' and '.join(_FORMATS)} can be read"
        )
    base = re.split(r"[\[+]", source.split)[0].strip()
    if base != "all" and base not in info.splits:
        raise UserError(
            f"{source.name}: no split {base!r}"
            + (nearest(base, info.splits) or f"; it has {', '.join(info.splits)}")
        )
    if source.field:
        _check_field(source, info.features)
    try:
        return path, format, info.splits[source.split].file_instructions
    except Exception as error:
        raise UserError(
            f"{source.name}: cannot read split {source.split!r}: {_short(error)}"
        ) from (error)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check_field(source: Tfds, features) -> None:
    """The field must be one string an example, stored as such."""
    node, path = features, ""
    for key in source.field.split("/"):
        if not hasattr(node, "keys") or key not in node:
            present = sorted(node.keys()) if hasattr(node, "keys") else []
            hint = nearest(key, present) or (f"; there are {', '.join(present)}" if present else "")
            raise UserError(f"{source.name}: no feature {source.field!r}{hint}")
        path = f"{path}/{key}".lstrip("/")
        node = node[key]
    encoding = getattr(getattr(node, "_encoding", None), "value", "none")
    is_string = str(getattr(node, "np_dtype", "")) in ("object", "<class 'object'>", "|O")
    if not is_string or tuple(getattr(node, "shape", (0,)) or ()) != () or encoding != "none":
        raise UserError(f"{source.name}: feature {path!r} is no text but {_short_repr(node)}")


def _short_repr(node) -> str:
    return " ".join(repr(node).split())[:80]


def parts(source: Tfds, piece_bytes: int) -> list[Part]:
    """The runs of records to read, in the dataset's order. Raises UserError."""
    _, format, instructions = _instructions(source)
    result = []
    for instruction in instructions:
        path = os.fspath(instruction.filename)
        size = files.stat(path).size
        skip, take = instruction.skip, instruction.take
        if take < 0:
            take = instruction.examples_in_shard - skip
        share = size * take / max(instruction.examples_in_shard, 1)
        result += [
            Part(path, skip + begin, skip + end, format)
            for begin, end in record_files.ranges(take, share, piece_bytes)
            if end > begin
        ]
    return result


def identity(source: Tfds) -> list:
    """What its documents depend on: the dataset's folder below data_dir, and per file of the split
    its name, size and range."""
    path, _, instructions = _instructions(source)
    content = [
        [os.path.basename(i.filename), files.stat(os.fspath(i.filename)).size, i.skip, i.take]
        for i in instructions
    ]
    return [path[len(data_dir(source)) :], content]


def texts(path: str, format: str, begin: int, end: int, field: str) -> Iterator[str]:
    """The texts under `field` of records [begin, end) of one file."""
    for number, record in enumerate(_records(path, format, begin, end), begin):
        try:
            yield record_files.example_text(record, field)
        except ValueError as error:
            raise UserError(f"{path}: record {number}: {error}") from error


def _records(path: str, format: str, begin: int, end: int) -> Iterator[bytes]:
    if format == "array_record":
        return record_files.array_records(path, begin, end)
    return record_files.tfrecords(path, begin, end)


def whole_records(name: str, split: str, folder: str) -> Iterator[tuple[str, dict[str, list]]]:
    """(place, {feature: values}) of every example of a prepared dataset, in its order.

    folder: as `Tfds.data_dir`. Parts of a nested feature are joined by `/`. Raises UserError.
    """
    for part in parts(Tfds(name, split, field="", data_dir=folder), 1 << 30):
        records = _records(part.path, part.format, part.begin, part.end)
        for number, record in enumerate(records, part.begin):
            place = f"{part.path}: record {number}"
            try:
                yield place, record_files.example_values(record)
            except ValueError as error:
                raise UserError(f"{place}: {error}") from error
