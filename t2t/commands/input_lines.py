"""The inputs of `t2t generate`: lines of text, or a field of JSONL, of a file or of standard input."""

import pathlib
import sys

from t2t.data.json_records import json_object, text_under
from t2t.errors import UserError

FIELD = "inputs"  # the input's key in JSONL


def read_inputs(path: str, field: str | None) -> list[str]:
    """Returns the inputs. path: "-" is standard input. field: None is FIELD.

    Raises UserError where it cannot be read, or holds no text; what is wrong in it is named by line.
    """
    lined = not path.endswith(".jsonl")
    if lined and field is not None:
        raise UserError(
            f"--field={field}: is of .jsonl files, and of --input={path} each line is an input; "
            "leave it out"
        )
    try:
        content = sys.stdin.buffer.read() if path == "-" else pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"--input={path}: {error.strerror or error}") from None
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"--input={path}: line {number} is not UTF-8 text ({error.reason}); convert it first"
        ) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    if not lined:
        lines = [_field(path, n, line, field or FIELD) for n, line in enumerate(lines, 1)]
    if not any(line.strip() for line in lines):
        raise UserError(f"--input={path}: no line of text; give a file or lines on standard input")
    return lines


def _field(path: str, number: int, line: str, field: str) -> str:
    try:
        return text_under(field, json_object(line), line)
    except ValueError as error:
        raise UserError(f"{path}:{number}: {error} (--field={field})") from None
