"""Values out of a record; ValueError (KeyError where it is absent) names the field that is wrong."""

import string

from t2t.data.json_records import check_characters
from t2t.tasks.task import Record


def text(record: Record, name: str) -> str:
    """A field that is one text; a number becomes its digits."""
    return as_text(name, record[name])


def texts(record: Record, name: str) -> tuple[str, ...]:
    """A field that lists texts."""
    values = record[name]
    if not isinstance(values, list | tuple):
        raise ValueError(f"field {name!r} is no list but {_kind(values)}")
    return tuple(as_text(name, value) for value in values)


def integer(record: Record, name: str) -> int:
    """A field that is a whole number, or its digits."""
    try:
        return int(text(record, name))
    except ValueError:
        raise ValueError(f"field {name!r} is {record[name]!r}, not a whole number") from None


def filled(template: str, record: Record) -> str:
    """The template with the record's values in place of its {column}s.

    Raises KeyError for an absent column, ValueError for a value that is no text or number.
    """
    parts = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(text(record, name))
    return "".join(parts)


def as_text(name: str, value) -> str:
    """The value of field `name` as text."""
    if isinstance(value, str):
        check_characters(name, value)
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise ValueError(f"field {name!r} is no text but {_kind(value)}")


def _kind(value) -> str:
    kinds = {dict: "an object", list: "a list", tuple: "a list", type(None): "null"}
    return kinds.get(type(value), repr(value))
