"""`--config.a.b[0].c=TEXT`: one field of a configuration, read as its type from text.

ml_collections' `config_flags` cannot set a frozen field, choose a variant of a union or check a
tuple's elements, so only its path syntax is used here.
"""

import ast
import dataclasses
import typing
from typing import Any, Literal, TypeVar

from t2t import schema
from t2t.errors import UserError, nearest

T = TypeVar("T")


def _parse_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        number = float(text)  # 1e6 is a common way to write a step count
        if number != int(number):
            raise ValueError(text) from None
        return int(number)


def _parse_one(text: str, annotation: Any, where: str) -> Any:
    if annotation is type(None):
        if text.lower() != "none":
            raise ValueError(text)
        return None
    if typing.get_origin(annotation) is Literal:
        for value in typing.get_args(annotation):
            if text == str(value):
                return value
        raise ValueError(text)
    if typing.get_origin(annotation) is tuple:
        try:
            value = _construct(_expression(text), annotation, where)
        except ValueError:
            value = tuple(part.strip() for part in text.split(",")) if text else ()
        return value if isinstance(value, tuple) else (value,)
    if annotation is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
            text.lower()
        ]
    if annotation is int:
        return _parse_int(text)
    if annotation is float:
        return float(text)
    if dataclasses.is_dataclass(annotation):
        expression = _expression(text)
        if not isinstance(expression, ast.Name | ast.Call):
            raise ValueError(text)
        return _construct(expression, annotation, where)
    return text


def _expression(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(text) from None


def _construct(node: ast.expr, annotation: Any, where: str) -> Any:
    """Reads `Name`, `Name(1, field=2)`, tuples of those, and plain values; nothing is executed.

    Raises: ValueError where it is none of those, UserError for a dataclass's fields.
    """
    kinds = schema.variants(annotation)
    name = node.func if isinstance(node, ast.Call) else node
    if isinstance(name, ast.Name) and name.id in kinds:
        given = _arguments(node, kinds[name.id], where)
        fields = schema.field_types(kinds[name.id])
        return kinds[name.id](
            **{key: _construct(v, fields[key], f"{where}.{key}") for key, v in given.items()}
        )
    tuples = [a for a in schema.alternatives(annotation) if typing.get_origin(a) is tuple]
    if isinstance(node, ast.Tuple | ast.List) and tuples:
        each = schema.element_types(annotation, len(node.elts))
        if len(each) != len(node.elts):
            raise UserError(f"{where}: expected {len(each)} elements, got {len(node.elts)}")
        return tuple(
            _construct(element, kind, f"{where}[{i}]")
            for i, (element, kind) in enumerate(zip(node.elts, each, strict=True))
        )
    return ast.literal_eval(node)


def _arguments(node: ast.expr, cls: type, where: str) -> dict[str, ast.expr]:
    """Returns the arguments of `Name(...)` by field of `cls`; raises UserError as a call would."""
    fields = schema.field_types(cls)
    given: dict[str, ast.expr] = {}
    if isinstance(node, ast.Call):
        if len(node.args) > len(fields):
            raise UserError(f"{where}: {cls.__name__} has {len(fields)} fields")
        given = dict(zip(fields, node.args, strict=False))
        given |= {str(keyword.arg): keyword.value for keyword in node.keywords}
    for key in given:
        if key not in fields:
            raise UserError(f"{where}.{key}: no such field in {cls.__name__}{nearest(key, fields)}")
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and f.name not in given
    ]
    if missing:
        raise UserError(
            f"{where}: {cls.__name__} has no default for {', '.join(missing)}; "
            f"write {cls.__name__}({', '.join(f'{key}=...' for key in missing)})"
        )
    return given


def parse(text: str, annotation: Any, where: str) -> Any:
    """Reads an override's text as its field's type (`none`, numbers, tuples, a variant's name).

    Raises: UserError naming the field and the expected type.
    """
    # Text last: it takes anything.
    for a in sorted(schema.alternatives(annotation), key=lambda a: a is str):
        try:
            value = _parse_one(text, a, where)
        except (ValueError, KeyError, OverflowError):
            continue
        schema.check_types(value, annotation, where)
        return value
    words = [
        str(w)
        for a in schema.alternatives(annotation)
        for w in (typing.get_args(a) if typing.get_origin(a) is Literal else ())
    ]
    words += list(schema.variants(annotation))
    raise UserError(
        f"{where}: expected {schema.describe(annotation)}, got {text!r}{nearest(text, words)}"
    )


def override(config: T, path: str, text: str, root: str = "config") -> T:
    """Returns a copy of `config` with the field at `path` (`data.train.corpora[0].rate`) replaced.

    Raises: UserError for an unknown field (with the nearest one), a bad index or a bad value.
    """
    from ml_collections.config_flags import config_path

    try:
        parts = config_path.split(path)
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{root}.{path}: not a field path; write it like model.d_model or "
            "data.train.corpora[0].rate"
        ) from None
    return _override(config, type(config), parts, text, root)


def _override(node: Any, annotation: Any, parts: tuple, text: str, where: str) -> Any:
    if not parts:
        return parse(text, annotation, where)
    head, rest = parts[0], parts[1:]
    if isinstance(node, tuple):
        if not isinstance(head, int) or not -len(node) <= head < len(node):
            raise UserError(f"{where}: has elements 0 to {len(node) - 1}, not {head!r}")
        kind = schema.element_types(annotation, len(node))[head]
        new = _override(node[head], kind, rest, text, f"{where}[{head}]")
        index = head % len(node)
        return (*node[:index], new, *node[index + 1 :])
    if not dataclasses.is_dataclass(node):
        raise UserError(f"{where}: is {node!r} and has no field {head!r}")
    kinds = schema.field_types(type(node))
    if head not in kinds:
        having = [
            n for n, c in schema.variants(annotation).items() if head in schema.field_types(c)
        ]
        hint = nearest(str(head), kinds)
        if having:
            hint = f" (a field of {', '.join(having)}: give --{where}={having[0]} first)"
        raise UserError(f"{where}.{head}: no such field in {type(node).__name__}{hint}")
    new = _override(getattr(node, head), kinds[head], rest, text, f"{where}.{head}")
    return dataclasses.replace(node, **{head: new})
