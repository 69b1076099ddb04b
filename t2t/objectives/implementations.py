"""From an objective's configuration to the module that implements it.

Every such module has `raw_length`, `lengths`, `lengths_for`, `always_full`, `check_vocabulary`,
`make_batch` and `make_packed_batch`; see span_corruption.py.
"""

from types import ModuleType

from t2t.objectives import span_corruption
from t2t.objectives.config import Objective, SpanCorruption

_MODULES: dict[type, ModuleType] = {SpanCorruption: span_corruption}


def implementation(cfg: Objective) -> ModuleType:
    """Returns the module whose functions take `cfg`."""
    return _MODULES[type(cfg)]
