"""A task of the user's own: its files, two templates and the names of metrics, without a line of code.

One dataclass with two doors: written in a recipe, or in a TOML file (`t2t.tasks.own_task` reads it, and
makes the task). It stands with the sources, since a recipe names it where it names those.
"""

import os
import re
import string
from dataclasses import dataclass

from t2t.errors import UserError

SPLITS = ("train", "validation", "test")
ENDINGS = (".jsonl", ".csv", ".tsv")


@dataclass(frozen=True)
class OwnTask:
    """train, validation, test: .jsonl, .csv or .tsv files, `.gz` or not, each a path, URL or glob;
    tables have a header row. input, target: templates, `{column}` for a column's value.

    texts: templates of the one or two texts that a classifier of an encoder alone is shown in place of
    the input; () shows it that. choices: the only possible targets; a prediction that is none of them is
    invalid. labels: what
    the files write in place of each choice, in the same order (`labels=("0", "1")`). numeric:
    targets are numbers. answers: a column of a JSONL file that lists all right answers, instead of
    the target alone. metrics: names (`t2t eval --help` says which), or your own as
    `module:function` or `file.py:function`. Lengths are in tokens. beams: 1 decodes greedily.
    delimiter: "" is a comma in .csv, a tab in .tsv. quoted: whether quotes enclose fields (RFC
    4180); None is yes in .csv and no in .tsv.
    """

    name: str
    input: str
    target: str
    train: str = ""
    validation: str = ""
    test: str = ""
    metrics: tuple[str, ...] = ("sequence_accuracy",)
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    numeric: bool = False
    answers: str = ""
    inputs_length: int = 512
    targets_length: int = 128
    beams: int = 1
    delimiter: str = ""
    quoted: bool | None = None
    texts: tuple[str, ...] = ()

    def check(self, where: str) -> None:
        """Raises UserError naming the field that cannot be."""
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise UserError(
                f"{where}.name: {self.name!r} is not a plain name (letters, digits, _-.)"
            )
        columns(self.target, f"{where}.target")
        if not columns(self.input, f"{where}.input"):
            raise UserError(f"{where}.input: {self.input!r} names no column; write {{name}}")
        if len(self.texts) > 2 or (self.texts and not self.choices):
            raise UserError(
                f"{where}.texts: are one or two templates, of a task with choices; `input` is for all others"
            )
        for i, template in enumerate(self.texts):
            if not columns(template, f"{where}.texts[{i}]"):
                raise UserError(f"{where}.texts[{i}]: {template!r} names no column; write {{name}}")
        if not self.files():
            raise UserError(
                f"{where}.validation: no file is named; name one of {', '.join(SPLITS)}"
            )
        for split, path in self.files().items():
            if ending(path) not in ENDINGS:
                raise UserError(
                    f"{where}.{split}: {path!r} does not end in {', '.join(ENDINGS)} "
                    "(or that and .gz)"
                )
        self._check_answers(where)
        for name in ("inputs_length", "targets_length", "beams"):
            if getattr(self, name) < 1:
                raise UserError(f"{where}.{name}: must be at least 1, got {getattr(self, name)}")
        if self.delimiter and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise UserError(
                f"{where}.delimiter: must be one character other than a quote or line break, "
                f"got {self.delimiter!r}"
            )

    def _check_answers(self, where: str) -> None:
        if not self.metrics:
            raise UserError(f"{where}.metrics: names no metric")
        kinds = [name for name in ("choices", "numeric", "answers") if getattr(self, name)]
        if len(kinds) > 1:
            raise UserError(f"{where}.{kinds[1]}: excludes {kinds[0]}; give one of them")
        for name in ("choices", "labels"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise UserError(f"{where}.{name}: {', '.join(values)} holds one twice")
        if self.labels and len(self.labels) != len(self.choices):
            raise UserError(
                f"{where}.labels: {len(self.labels)} labels for {len(self.choices)} choices; "
                "give one for each, in the same order"
            )

    def files(self) -> dict[str, str]:
        """The paths or globs of the splits that are given."""
        return {split: getattr(self, split) for split in SPLITS if getattr(self, split)}


def ending(path: str) -> str:
    """How a file's name ends, `.gz` aside."""
    return os.path.splitext(path.removesuffix(".gz"))[1]


def columns(template: str, where: str) -> list[str]:
    """The columns a template names, in order; `{{` and `}}` are braces.

    Raises UserError where a brace is not closed or something other than a name stands in it.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UserError(
            f"{where}: {template!r}: {error}; write a column as {{name}}, a brace as {{{{"
        ) from None
    names = []
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name or spec or conversion:
            raise UserError(f"{where}: {template!r}: write a column as {{name}} and nothing more")
        names.append(name)
    return names
