"""Configuration as frozen dataclasses: type checks, JSON, and the difference of two.

The schema is the dataclasses' own annotations (nothing is declared twice). Allowed field types:
bool, int, float, str, Literal, Optional, tuples of those, dataclasses, and unions of dataclasses
(variants). Overrides from the command line: t2t.overrides.
"""

import dataclasses
import functools
import math
import types
import typing
from typing import Any, Literal, Union

from t2t.errors import UserError, nearest

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


def element_types(annotation: Any, count: int) -> tuple[Any, ...]:
    """Returns the types of a tuple's `count` elements; of a fixed tuple all it declares."""
    declared = next(
        (typing.get_args(a) for a in alternatives(annotation) if typing.get_origin(a) is tuple), ()
    )
    return declared[:1] * count if declared[-1:] == (Ellipsis,) else declared


def classes(root: Any) -> set[type]:
    """Returns every dataclass that a configuration of type `root` may hold, `root` included."""
    if not dataclasses.is_dataclass(root):
        return set().union(*(classes(a) for a in typing.get_args(root)))
    return {root}.union(*(classes(kind) for kind in field_types(root).values()))


def describe(annotation: Any) -> str:
    names = []
    for a in alternatives(annotation):
        if a is type(None):
            names.append("none")
        elif typing.get_origin(a) is Literal:
            names.append("one of " + ", ".join(repr(v) for v in typing.get_args(a)))
        elif typing.get_origin(a) is tuple:
            inner = [x for x in typing.get_args(a) if x is not Ellipsis]
            names.append(f"a tuple of {describe(inner[0])}" if inner else "a tuple")
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
        raise UserError(f"{where}: expected {describe(annotation)}, got {value!r}{hint}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: must be a finite number, got {value!r}")
    if isinstance(value, tuple):
        arguments = element_types(chosen, len(value))
        if len(arguments) != len(value):
            raise UserError(f"{where}: expected {len(arguments)} elements, got {len(value)}")
        for i, (element, kind) in enumerate(zip(value, arguments, strict=True)):
            check_types(element, kind, f"{where}[{i}]")
    elif dataclasses.is_dataclass(value):
        for name, kind in field_types(type(value)).items():
            check_types(getattr(value, name), kind, f"{where}.{name}")


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
        kinds = element_types(annotation, len(value))
        return [to_json(v, k) for v, k in zip(value, kinds, strict=True)]
    return value


def from_json(data: Any, annotation: Any, where: str) -> Any:
    """Rebuilds a configuration value from `to_json`'s form.

    Raises: UserError naming the path for unknown or missing fields and wrong types.
    """
    kinds_by_name = variants(annotation)
    if isinstance(data, dict) and kinds_by_name:
        name = data.get(VARIANT, next(iter(kinds_by_name)))
        if name not in list(kinds_by_name):
            raise UserError(f"{where}: unknown variant {name!r}{nearest(str(name), kinds_by_name)}")
        kinds = field_types(kinds_by_name[name])
        values = {}
        for key, value in data.items():
            if key == VARIANT:
                continue
            if key not in kinds:
                raise UserError(f"{where}.{key}: no such field in {name}{nearest(key, kinds)}")
            values[key] = from_json(value, kinds[key], f"{where}.{key}")
        try:
            result = kinds_by_name[name](**values)
        except TypeError as error:
            raise UserError(f"{where}: {error}") from None
    elif isinstance(data, list):
        if not any(typing.get_origin(a) is tuple for a in alternatives(annotation)):
            raise UserError(f"{where}: expected {describe(annotation)}, got a list")
        kinds = element_types(annotation, len(data))
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
