"""A task of the user's own: a table or JSONL file, two templates and the names of metrics."""

import functools
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from t2t import schema
from t2t.data import files
from t2t.errors import UserError
from t2t.tasks import template
from t2t.tasks.glue import read_number
from t2t.tasks.labels import read_label
from t2t.tasks.published_files import jsonl, numbered, table
from t2t.tasks.task import (
    DecodingDefaults,
    Example,
    Layout,
    Record,
    Source,
    Task,
    text_answer,
)

_READERS: dict[str, Callable] = {
    ".jsonl": jsonl,
    ".csv": functools.partial(table, delimiter=",", quoted=True),
    ".tsv": table,
}
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class OwnTask:
    """The task's file, which `t2t eval --tasks=FILE.toml` reads too.

    train, validation, test: .jsonl, .csv (quoted) or .tsv (not quoted) files, `.gz` or not, with a
    header row in tables. input, target: templates, `{column}` for a column's value. choices: the
    only possible targets; a prediction that is none of them is invalid. numeric: targets are
    numbers. answers: a column of a JSONL file that lists all right answers, instead of the target
    alone. metrics: names, or `module:function` or `file.py:function`. Lengths are in tokens.
    """

    name: str
    input: str
    target: str
    train: str = ""
    validation: str = ""
    test: str = ""
    metrics: tuple[str, ...] = ("sequence_accuracy",)
    choices: tuple[str, ...] = ()
    numeric: bool = False
    answers: str = ""
    inputs_length: int = 512
    targets_length: int = 128
    beams: int = 1

    def check(self, where: str) -> None:
        """Raises UserError naming the field that cannot be."""
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise UserError(
                f"{where}.name: {self.name!r} is not a plain name (letters, digits, _-.)"
            )
        template.columns(self.target, f"{where}.target")
        if not template.columns(self.input, f"{where}.input"):
            raise UserError(f"{where}.input: {self.input!r} names no column; write {{name}}")
        given = [split for split in SPLITS if getattr(self, split)]
        if not given:
            raise UserError(
                f"{where}.validation: no file is named; name one of {', '.join(SPLITS)}"
            )
        for split in given:
            if _suffix(getattr(self, split)) not in _READERS:
                raise UserError(
                    f"{where}.{split}: {getattr(self, split)!r} does not end in "
                    f"{', '.join(_READERS)} (or that and .gz)"
                )
        if not self.metrics:
            raise UserError(f"{where}.metrics: names no metric")
        if sum((bool(self.choices), self.numeric, bool(self.answers))) > 1:
            raise UserError(f"{where}.choices: choices, numeric and answers exclude each other")
        for name in ("inputs_length", "targets_length", "beams"):
            if getattr(self, name) < 1:
                raise UserError(f"{where}.{name}: must be at least 1, got {getattr(self, name)}")

    def task(self, where: str) -> Task:
        """The task itself. Raises UserError where a file is not there."""
        self.check(where)
        layouts = []
        for split in SPLITS:
            path = getattr(self, split)
            if path:
                try:
                    files.stat(path)
                except UserError as error:
                    raise UserError(f"{where}.{split}: {error}") from error
                reader = numbered(_READERS[_suffix(path)])
                layouts.append(Layout(((split, (os.path.abspath(path),)),), reader))
        splits = tuple(layout.files[0][0] for layout in layouts)
        kind = read_label if self.choices else read_number if self.numeric else text_answer
        return Task(
            name=self.name,
            suite="own",
            source=Source(layouts=tuple(layouts)),
            splits=splits,
            examples=functools.partial(_examples, self),
            read=kind,
            metrics=self.metrics,
            judged=next(s for s in ("validation", "test", "train") if s in splits),
            inputs_length=self.inputs_length,
            targets_length=self.targets_length,
            decoding=DecodingDefaults(beams=self.beams),
        )


def _suffix(path: str) -> str:
    return os.path.splitext(path.removesuffix(".gz"))[1]


def _examples(own: OwnTask, record: Record, split: str) -> Iterable[Example]:
    target = template.filled(own.target, record)
    truth: Any = target
    if own.choices:
        if target not in own.choices:
            raise ValueError(f"the target {target!r} is not among the choices {own.choices}")
        truth = own.choices.index(target)
    elif own.numeric:
        truth = read_number(target, Example("", ""))
        if truth is None:
            raise ValueError(f"the target {target!r} is not a number")
    elif own.answers:
        listed = record[own.answers]
        if not isinstance(listed, list) or not listed:
            raise ValueError(f"field {own.answers!r} is not a list of answers")
        truth = tuple(template.as_text(own.answers, answer) for answer in listed)
    text = template.filled(own.input, record)
    yield Example(text, target, truth, id=(record["#"],), choices=own.choices)


def load_task(path: str) -> Task:
    """Reads a task's TOML file; paths in it are relative to its folder.

    Raises UserError naming file, line and field.
    """
    text = files.read_bytes(path).decode(errors="replace")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)", str(error))
        line = f":{found[1]}" if found else ""
        message = str(error).replace(found[0], "") if found else str(error)
        raise UserError(f"{path}{line}: not TOML: {message}") from None
    try:
        missing = [f.name for f in fields(OwnTask)[:3] if f.name not in content]
        if missing:
            raise UserError(f"task.{missing[0]}: is not given")
        own = schema.from_json(content, OwnTask, "task")
        folder = os.path.dirname(os.path.abspath(path))
        own = replace(
            own,
            **{
                split: os.path.join(folder, getattr(own, split))
                for split in SPLITS
                if getattr(own, split) and not files.is_remote(getattr(own, split))
            },
        )
        return own.task("task")
    except UserError as error:
        field, _, rest = str(error).removeprefix("task.").partition(": ")
        raise UserError(f"{path}{_line_of(field, text)}: {field}: {rest}") from error


def _line_of(field: str, text: str) -> str:
    name = re.split(r"[.\[]", field)[0]
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*{re.escape(name)}\s*=", line):
            return f":{number}"
    return ""
