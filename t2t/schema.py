"""Configuration as frozen dataclasses: type checks, overrides, JSON, and the difference of two.

The schema is the dataclasses' own annotations (nothing is declared twice). Allowed field types:
bool, int, float, str, Literal, Optional, tuples of those, dataclasses, and unions of dataclasses
(variants). ml_collections' `config_flags` cannot set a frozen field, choose a variant of a union or
check a tuple's elements, so only its path syntax (`a.b[0].c`) is used here.
"""

import ast
import dataclasses
import functools
import math
import types
import typing
from typing import Any, Literal, TypeVar, Union

from t2t.errors import UserError, nearest

T = TypeVar("T")
VARIANT = "class"  # the JSON key that names a union's variant


@functools.cache
def field_types(cls: type) -> dict[str, Any]:
    """Returns a dataclass's field annotations, resolved, in declaration order."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Returns the members of a union (or the annotation alone), `type(None)` included."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def variants(annotation: Any) -> dict[str, type]:
    """Returns the dataclasses of a union by class name."""
    return {a.__name__: a for a in alternatives(annotation) if dataclasses.is_dataclass(a)}


def _describe(annotation: Any) -> str:
    names = []
    for a in alternatives(annotation):
        if a is type(None):
            names.append("none")
        elif typing.get_origin(a) is Literal:
            names.append("one of " + ", ".join(repr(v) for v in typing.get_args(a)))
        elif typing.get_origin(a) is tuple:
            inner = [x for x in typing.get_args(a) if x is not Ellipsis]
            names.append(f"a tuple of {_describe(inner[0])}" if inner else "a tuple")
        else:
            names.append(
                {int: "an integer", float: "a number", str: "text", bool: "true or false"}.get(
                    a, getattr(a, "__name__", str(a))
                )
            )
    return " or ".join(names)


# ---------------------------------------------------------------------------------- type checks


def _matches(value: Any, annotation: Any) -> bool:
    """Whether `value` is of one plain alternative, not looking inside dataclasses and tuples."""
    if annotation is type(None):
        return value is None
    if typing.get_origin(annotation) is Literal:
        return any(value == v and type(value) is type(v) for v in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return isinstance(value, tuple)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, annotation)


def check_types(value: Any, annotation: Any, where: str) -> None:
    """Checks a configuration value against its annotation, all the way down.

    Raises: UserError naming the dotted path, what was found and what is expected; NaN and infinity
    are never accepted.
    """
    chosen = next((a for a in alternatives(annotation) if _matches(value, a)), None)
    if chosen is None:
        hint = (
            nearest(
                value,
                [
                    v
                    for a in alternatives(annotation)
                    for v in typing.get_args(a)
                    if isinstance(v, str)
                ],
            )
            if isinstance(value, str)
            else ""
        )
        raise UserError(f"{where}: expected {_describe(annotation)}, got {value!r}{hint}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: must be a finite number, got {value!r}")
    if isinstance(value, tuple):
        arguments = typing.get_args(chosen)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(arguments) != len(value):
            raise UserError(f"{where}: expected {len(arguments)} elements, got {len(value)}")
        for i, (element, kind) in enumerate(zip(value, arguments, strict=True)):
            check_types(element, kind, f"{where}[{i}]")
    elif dataclasses.is_dataclass(value):
        for name, kind in field_types(type(value)).items():
            check_types(getattr(value, name), kind, f"{where}.{name}")


# ------------------------------------------------------------------------------------ overrides


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
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = tuple(part.strip() for part in text.split(",")) if text else ()
        if isinstance(value, str):  # "a,b" in quotes is still one element
            value = (value,)
        return _tuples(value if isinstance(value, tuple | list) else (value,))
    if annotation is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
            text.lower()
        ]
    if annotation is int:
        return _parse_int(text)
    if annotation is float:
        return float(text)
    if dataclasses.is_dataclass(annotation):
        if text.removesuffix("()") != annotation.__name__:
            raise ValueError(text)
        try:
            return annotation()
        except TypeError:
            needed = [
                f.name
                for f in dataclasses.fields(annotation)
                if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
            ]
            raise UserError(
                f"{where}: {annotation.__name__} has no default for "
                f"{', '.join(needed)}: choose it in the config file"
            ) from None
    return text


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def parse(text: str, annotation: Any, where: str) -> Any:
    """Reads an override's text as its field's type (`none`, numbers, tuples, a variant's name).

    Raises: UserError naming the field and the expected type.
    """
    for a in sorted(alternatives(annotation), key=lambda a: a is str):  # text matches anything
        try:
            value = _parse_one(text, a, where)
        except (ValueError, KeyError, OverflowError):
            continue
        check_types(value, annotation, where)
        return value
    words = [
        str(w)
        for a in alternatives(annotation)
        for w in (typing.get_args(a) if typing.get_origin(a) is Literal else ())
    ]
    words += list(variants(annotation))
    raise UserError(
        f"{where}: expected {_describe(annotation)}, got {text!r}{nearest(text, words)}"
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
        kinds = next(
            typing.get_args(a) for a in alternatives(annotation) if typing.get_origin(a) is tuple
        )
        kind = kinds[0] if kinds[-1] is Ellipsis else kinds[head]
        new = _override(node[head], kind, rest, text, f"{where}[{head}]")
        index = head % len(node)
        return (*node[:index], new, *node[index + 1 :])
    if not dataclasses.is_dataclass(node):
        raise UserError(f"{where}: is {node!r} and has no field {head!r}")
    kinds = field_types(type(node))
    if head not in kinds:
        raise UserError(
            f"{where}.{head}: no such field in {type(node).__name__}{nearest(str(head), kinds)}"
        )
    new = _override(getattr(node, head), kinds[head], rest, text, f"{where}.{head}")
    return dataclasses.replace(node, **{head: new})


# ----------------------------------------------------------------------------------------- JSON


def to_json(value: Any, annotation: Any = None) -> Any:
    """Returns plain JSON types; a dataclass that is one variant of a union carries its class name."""
    if dataclasses.is_dataclass(value):
        fields = {
            name: to_json(getattr(value, name), kind)
            for name, kind in field_types(type(value)).items()
        }
        named = annotation is not None and len(variants(annotation)) > 1
        return {VARIANT: type(value).__name__, **fields} if named else fields
    if isinstance(value, tuple):
        kinds = next(
            (typing.get_args(a) for a in alternatives(annotation) if typing.get_origin(a) is tuple),
            (),
        )
        each = kinds[:1] * len(value) if kinds[-1:] == (Ellipsis,) else kinds
        return [to_json(v, k) for v, k in zip(value, each, strict=True)]
    return value


def from_json(data: Any, annotation: Any, where: str) -> Any:
    """Rebuilds a configuration value from `to_json`'s form.

    Raises: UserError naming the path for unknown or missing fields and wrong types.
    """
    classes = variants(annotation)
    if isinstance(data, dict) and classes:
        name = data.get(VARIANT, next(iter(classes)))
        if name not in classes:
            raise UserError(f"{where}: unknown variant {name!r}{nearest(name, classes)}")
        kinds = field_types(classes[name])
        values = {}
        for key, value in data.items():
            if key == VARIANT:
                continue
            if key not in kinds:
                raise UserError(f"{where}.{key}: no such field in {name}{nearest(key, kinds)}")
            values[key] = from_json(value, kinds[key], f"{where}.{key}")
        try:
            result = classes[name](**values)
        except TypeError as error:
            raise UserError(f"{where}: {error}") from None
    elif isinstance(data, list):
        arguments = next(
            (typing.get_args(a) for a in alternatives(annotation) if typing.get_origin(a) is tuple),
            None,
        )
        if arguments is None:
            raise UserError(f"{where}: expected {_describe(annotation)}, got a list")
        kinds = arguments[:1] * len(data) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(data):
            raise UserError(f"{where}: expected {len(kinds)} elements, got {len(data)}")
        result = tuple(
            from_json(v, k, f"{where}[{i}]")
            for i, (v, k) in enumerate(zip(data, kinds, strict=True))
        )
    else:
        result = data
    check_types(result, annotation, where)
    return result


def leaves(value: Any, where: str) -> dict[str, Any]:
    """Returns every scalar of a configuration by its dotted path; variants add a `.class` entry."""
    if dataclasses.is_dataclass(value):
        found = {f"{where}.{VARIANT}": type(value).__name__}
        for name in field_types(type(value)):
            found |= leaves(getattr(value, name), f"{where}.{name}")
        return found
    if isinstance(value, tuple) and any(dataclasses.is_dataclass(v) for v in value):
        found = {}
        for i, element in enumerate(value):
            found |= leaves(element, f"{where}[{i}]")
        return found
    return {where: value}


def difference(old: Any, new: Any, where: str = "config") -> dict[str, tuple[Any, Any]]:
    """Returns `{path: (old, new)}` for every scalar in which two configurations differ."""
    a, b = leaves(old, where), leaves(new, where)
    return {path: (a.get(path), b.get(path)) for path in {**a, **b} if a.get(path) != b.get(path)}
