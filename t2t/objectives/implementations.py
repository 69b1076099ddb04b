"""From an objective's configuration to the module that implements it.

Every such module has `lengths`, `always_full` and `check_vocabulary`. Those that make their examples
of running text have `raw_length`, `lengths_for`, `make_batch` and `make_packed_batch` too (see
span_corruption.py); text_to_text.py, which takes pairs, has `make_pairs_batch`.
"""

from types import ModuleType

from t2t.objectives import span_corruption, text_to_text
from t2t.objectives.config import Objective, SpanCorruption, TextToText

_MODULES: dict[type, ModuleType] = {SpanCorruption: span_corruption, TextToText: text_to_text}


def implementation(cfg: Objective) -> ModuleType:
    """Returns the module whose functions take `cfg`."""
    return _MODULES[type(cfg)]


def of_pairs(cfg: Objective) -> TextToText:
    """Returns how a run with objective `cfg` poses the pairs of a task: in rows of its lengths."""
    return TextToText(*implementation(cfg).lengths(cfg))
