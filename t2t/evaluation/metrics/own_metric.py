"""A metric of the user's own: a function named `module:function` or `file.py:function`.

It is called with (truths, predictions), two lists, predictions as the task reads them (None where
invalid), and returns a number or {name: number}. Intervals and tests call it once a draw.
"""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence

import numpy as np

from t2t.errors import UserError, nearest
from t2t.evaluation.metrics.metric import Judged, Metric


def own_metric(spec: str, where: str) -> Metric:
    """The metric of a function. Raises UserError where the file, module or function is not there."""
    place, _, name = spec.rpartition(":")
    module = _module(place, f"{where}: metric {spec}")
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, v in vars(module).items() if callable(v)]
        raise UserError(
            f"{where}: metric {spec}: {place} has no function {name!r}{nearest(name, known)}"
        )
    return Metric(_rows, _called(function, name, f"{where}: metric {spec}"), ("*",))


def _module(place: str, where: str):
    if os.getcwd() not in sys.path:  # a console script does not look in the current folder
        sys.path.append(os.getcwd())
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        if not os.path.isfile(place):
            raise UserError(f"{where}: there is no file {place}")
        found = importlib.util.spec_from_file_location("t2t_own_metric", place)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return module
    except UserError:
        raise
    except Exception as error:  # the user's program: whatever it raises is told in one line
        raise UserError(f"{where}: {type(error).__name__}: {error}") from error


def _rows(judged: Sequence[Judged]) -> np.ndarray:
    rows = np.empty((len(judged), 2), object)
    for row, one in zip(rows, judged, strict=True):
        row[0], row[1] = one.truth, one.value
    return rows


def _called(function: Callable, name: str, where: str) -> Callable[[np.ndarray], dict]:
    def scores(rows: np.ndarray) -> dict[str, float]:
        try:
            result = function(list(rows[:, 0]), list(rows[:, 1]))
            named = result if isinstance(result, dict) else {name: result}
            return {str(key): float(value) for key, value in named.items()}
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise UserError(
                f"{where}: {last.filename}:{last.lineno}: {type(error).__name__}: {error}"
            ) from error

    return scores
