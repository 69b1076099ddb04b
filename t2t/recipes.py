"""Recipes: Python files with `get_config(arg)`, by path or by the name of a shipped one."""

import importlib.util
import pathlib
import re
import traceback
from typing import TypeVar

from t2t import schema
from t2t.errors import UserError, nearest

T = TypeVar("T")
_UNEXPECTED = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


def config_folder() -> pathlib.Path:
    """Returns the folder of the shipped recipes: inside the wheel, or beside the source tree."""
    package = pathlib.Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def find(name: str) -> pathlib.Path:
    """Returns the file of a recipe given by path or by name (`t5_1_1`).

    Raises: UserError with the nearest name when there is none.
    """
    path = pathlib.Path(name)
    if path.is_file():
        return path
    shipped = {p.stem: p for p in sorted(config_folder().glob("*.py"))}
    if name in shipped:
        return shipped[name]
    if path.name != name or path.suffix:
        folder = path.parent
        beside = [p.name for p in folder.glob("*.py")] if folder.is_dir() else []
        raise UserError(f"--config={name}: there is no such file{nearest(path.name, beside)}")
    raise UserError(
        f"--config={name}: neither a file nor a shipped recipe"
        f"{nearest(name, shipped)}; recipes: {', '.join(shipped)}"
    )


def get_config(spec: str, expected: type[T]) -> T:
    """Calls `get_config(ARG)` of the recipe `NAME[:ARG]`; the result must be an `expected`.

    Raises: UserError, one line: the recipe's file and line where its own code fails.
    """
    name, _, argument = spec.partition(":")
    path = find(name)
    module_spec = importlib.util.spec_from_file_location(f"t2t_config_{path.stem}", path)
    if module_spec is None:
        raise UserError(f"{path}: a config is a Python file (.py) with get_config(arg)")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise UserError(f"{path}: has no function get_config(arg)")
        config = module.get_config(argument)
    except UserError as error:  # a size that is not there, for instance
        text = str(error)
        raise UserError(text if str(path) in text else f"--config={spec}: {text}") from None
    except Exception as error:  # the config is the user's program: name its line, not ours
        raise UserError(
            f"{_place(path, error)}: {type(error).__name__}: {error}{_field_hint(error, expected)}"
        ) from None
    if not isinstance(config, expected):
        raise UserError(
            f"{path}: get_config returned {type(config).__name__}, "
            f"not a {expected.__module__}.{expected.__name__}"
        )
    return config


def _place(path: pathlib.Path, error: Exception) -> str:
    """Returns `FILE:LINE` of the last line of the recipe that an error went through."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}:{frames[-1].lineno}" if frames else str(path)


def _field_hint(error: Exception, root: type) -> str:
    """Returns the nearest field where a configuration class was given one that it does not have."""
    found = _UNEXPECTED.search(str(error))
    classes = {cls.__name__: cls for cls in schema.classes(root)}
    if not found or found[1] not in classes:
        return ""
    return nearest(found[2], schema.field_types(classes[found[1]]))
