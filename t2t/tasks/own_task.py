"""The task that an `OwnTask` describes, from a recipe or from its TOML file."""

import functools
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, replace
from typing import Any

from t2t import schema
from t2t.data import files
from t2t.data.own_task_config import OwnTask, ending
from t2t.errors import UserError, nearest
from t2t.evaluation.metrics.catalog import check_known
from t2t.tasks.fields import filled, texts
from t2t.tasks.glue import read_number
from t2t.tasks.labels import read_label
from t2t.tasks.published_files import every, jsonl, table
from t2t.tasks.task import DecodingDefaults, Example, Layout, Record, Source, Task, text_answer


def task_of(own: OwnTask, where: str) -> Task:
    """The task. Raises UserError naming the field that cannot be, or whose file is not there."""
    own.check(where)
    for i, name in enumerate(own.metrics):
        check_known(name, f"{where}.metrics[{i}]")
    layouts = []
    for split, pattern in own.files().items():
        try:
            found = tuple(_absolute(file.path) for file in files.expand((pattern,)))
        except UserError as error:
            raise UserError(f"{where}.{split}: {error}") from error
        layouts.append(Layout(((split, found),), every(_reader(own, pattern))))
    splits = tuple(own.files())
    return Task(
        name=own.name,
        suite="own",
        source=Source(layouts=tuple(layouts)),
        splits=splits,
        examples=functools.partial(_examples, own),
        read=read_label if own.choices else read_number if own.numeric else text_answer,
        metrics=own.metrics,
        judged=next(s for s in ("validation", "test", "train") if s in splits),
        inputs_length=own.inputs_length,
        targets_length=own.targets_length,
        decoding=DecodingDefaults(beams=own.beams),
        labels=own.choices,
    )


def _absolute(path: str) -> str:
    return path if files.is_remote(path) else os.path.abspath(path)


def _reader(own: OwnTask, path: str) -> Callable:
    if ending(path) == ".jsonl":
        return jsonl
    comma = ending(path) == ".csv"
    return functools.partial(
        table,
        delimiter=own.delimiter or ("," if comma else "\t"),
        quoted=comma if own.quoted is None else own.quoted,
    )


def _examples(own: OwnTask, record: Record, split: str) -> Iterable[Example]:
    target = filled(own.target, record)
    truth: Any = target
    if own.choices:
        truth = _choice(own, target)
        target = own.choices[truth]
    elif own.numeric:
        truth = read_number(target, Example("", ""))
        if truth is None:
            raise ValueError(f"the target {target!r} is not a number")
    elif own.answers:
        truth = texts(record, own.answers)
        if not truth:
            raise ValueError(f"field {own.answers!r} lists no answer")
    plain = tuple(filled(template, record) for template in own.texts)
    yield Example(filled(own.input, record), target, truth, choices=own.choices, texts=plain)


def _choice(own: OwnTask, written: str) -> int:
    """The number of the choice that a file's target stands for."""
    names = own.labels or own.choices
    if written not in names:
        hint = nearest(written, names) or ("" if own.labels else "; `labels` names other words")
        raise ValueError(f"the target {written!r} is not among {', '.join(names)}{hint}")
    return names.index(written)


# --- The TOML file --------------------------------------------------------------------------------


def load_task(path: str) -> Task:
    """Reads a task's TOML file; paths in it are relative to its folder.

    Raises UserError naming file, line and field.
    """
    own, content = _parsed(path)
    try:
        return task_of(own, "task")
    except UserError as error:
        raise _placed(path, content, error) from error


def _parsed(path: str) -> tuple[OwnTask, str]:
    """What the file says, paths made absolute, and its text."""
    try:
        content = files.read_bytes(path).decode()
        values = tomllib.loads(content)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)", str(error))
        line = f":{found[1]}" if found else ""
        message = str(error).replace(found[0], "") if found else str(error)
        raise UserError(f"{path}{line}: not TOML: {message}") from None
    try:
        known = schema.field_types(OwnTask)
        if values.keys() <= known.keys():  # else a field misspelt is what is missing
            for field in fields(OwnTask):
                if field.default is MISSING and field.name not in values:
                    raise UserError(f"task.{field.name}: is not given")
        own = schema.from_json(values, OwnTask, "task")
    except UserError as error:
        raise _placed(path, content, error) from error
    folder = os.path.dirname(path if files.is_remote(path) else os.path.abspath(path))
    return replace(own, **{s: _beside(folder, one) for s, one in own.files().items()}), content


def _beside(folder: str, path: str) -> str:
    if files.is_remote(path):
        return path
    return os.path.join(folder, os.path.expanduser(path))


def _placed(path: str, content: str, error: UserError) -> UserError:
    """The error with file, line and field in front."""
    field, _, rest = str(error).removeprefix("task.").partition(": ")
    return UserError(f"{path}{_line_of(field, content)}: {field}: {rest}")


def _line_of(field: str, content: str) -> str:
    name = re.escape(re.split(r"[.\[]", field)[0])
    for number, line in enumerate(content.splitlines(), 1):
        if re.match(rf"""\s*(["']?{name}["']?\s*=|\[+\s*{name}\b)""", line):
            return f":{number}"
    return ""
