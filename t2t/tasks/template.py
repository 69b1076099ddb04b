"""Texts with `{column}` in them, filled from a record."""

import string

from t2t.errors import UserError
from t2t.tasks.fields import text
from t2t.tasks.task import Record


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


def filled(template: str, record: Record) -> str:
    """The template with the record's values in place of the columns.

    Raises KeyError for an absent column, ValueError for a value that is no text or number.
    """
    parts = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(text(record, name))
    return "".join(parts)
