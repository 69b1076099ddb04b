"""Records that are JSON objects, and what to say of those that are not as they should be."""

import json
from typing import Any

from t2t.errors import nearest


def json_object(text: str) -> dict[str, Any]:
    """Returns the object that `text` is. Raises: ValueError that says what is wrong."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("not readable as JSON: nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object but a {_kind(value)}")
    return value


def text_under(field: str, record: dict[str, Any], written: str) -> str:
    """Returns the text under `field` of an object that was `written` so.

    Raises: ValueError that says what is wrong.
    """
    if field not in record:
        raise ValueError(missing_field(field, record))
    text = record[field]
    if not isinstance(text, str):
        raise ValueError(f"field {field!r} is not a string but a {_kind(text)}")
    if "\\u" in written:
        check_characters(field, text)
    return text


def check_characters(field: str, text: str) -> None:
    """Raises: ValueError where a text has half of a surrogate pair, which JSON can escape."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"field {field!r} holds half of a surrogate pair "
            f"(\\u{ord(text[error.start]):04x}), which is no character"
        ) from error


def missing_field(field: str, present) -> str:
    """What to say of a record without `field`: the nearest name, or all there are."""
    hint = nearest(field, present)
    return f"no field {field!r}" + (hint or f"; it has {', '.join(map(repr, present)) or 'none'}")


def _kind(value) -> str:
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
