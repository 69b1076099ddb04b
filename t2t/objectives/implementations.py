"""From an objective's configuration to the module that implements it.

Every such module has `lengths`, `always_full` and `check_vocabulary`. Those that make their examples
of running text have `raw_length`, `lengths_for` and `make_packed_batch` too (see
span_corruption.py); text_to_text.py, which takes pairs, has `make_pairs_batch`.
"""

from types import ModuleType

import numpy as np

from t2t.objectives import (
    causal_lm,
    masked_lm,
    permutation_lm,
    prefix_lm,
    span_corruption,
    text_to_text,
    ul2,
)
from t2t.objectives.config import (
    DECODER,
    ENCODER,
    UL2,
    CausalLM,
    ExternalSpans,
    MaskedLM,
    Objective,
    PermutationLM,
    PrefixLM,
    SpanCorruption,
    TextToText,
)

_MODULES: dict[type, ModuleType] = {
    SpanCorruption: span_corruption,
    TextToText: text_to_text,
    PrefixLM: prefix_lm,
    UL2: ul2,
    CausalLM: causal_lm,
    MaskedLM: masked_lm,
    PermutationLM: permutation_lm,
}


def implementation(cfg: Objective) -> ModuleType:
    """Returns the module whose functions take `cfg`."""
    return _MODULES[type(cfg)]


def of_pairs(cfg: Objective) -> TextToText:
    """Returns how a run with objective `cfg` poses the pairs of a task: in rows of its lengths."""
    return TextToText(*implementation(cfg).lengths(cfg))


def takes_marks(cfg: Objective) -> bool:
    """Whether it asks where words begin and sentences end (vocabulary.marks)."""
    return isinstance(cfg, MaskedLM | PermutationLM)


def takes_other_text(cfg: Objective) -> bool:
    """Whether its examples need a text from another document beside their own."""
    if isinstance(cfg, PermutationLM):
        return cfg.pairs
    return isinstance(cfg, MaskedLM) and cfg.pairs == "next_sentence"


def takes_token_marks(cfg: Objective) -> bool:
    """Whether it asks what a segmenter said of each token (see t2t.data.span_marks)."""
    return isinstance(cfg, MaskedLM) and isinstance(cfg.unit, ExternalSpans)


def memory_of(cfg: Objective) -> int:
    """How many tokens before its own a row remembers."""
    return cfg.memory if isinstance(cfg, PermutationLM) else 0


def stride_of(cfg: Objective) -> int:
    """How many raw tokens a row of a stream begins behind the row before it."""
    if isinstance(cfg, PermutationLM):
        return permutation_lm.stride(cfg)
    return implementation(cfg).raw_length(cfg)


def luck(cfg: Objective, number: np.ndarray, start: np.ndarray, epoch: np.ndarray) -> np.ndarray:
    """Returns what the randomness of examples [E] hangs on.

    number: differs for each example and epoch. With static masks it is their place (`start`) and
    which of the copies it is.
    """
    if not (isinstance(cfg, MaskedLM) and cfg.static_copies):
        return number
    return start * cfg.static_copies + epoch % cfg.static_copies


def batch_shapes(cfg: Objective, rows: int, full: bool) -> dict:
    """Returns {name: (shape, dtype)} of a batch's arrays, as they come, without making one."""
    inputs, targets = implementation(cfg).lengths(cfg)

    def ints(*shape: int) -> tuple[tuple[int, ...], type]:
        return shape, np.int32

    def side(length: int) -> dict:
        parts = ("tokens",) if full else ("tokens", "segments", "positions")
        return {part: ints(rows, length) for part in parts}

    shapes: dict = {"targets": ints(rows, targets), "sample": ints(rows)}
    shapes["weights"] = (rows, targets), np.float32
    if cfg.suits != DECODER:
        shapes["encoder"] = side(inputs)
    if cfg.suits != ENCODER:
        shapes["decoder"] = side(targets)
    if isinstance(cfg, MaskedLM):
        shapes["places"] = shapes["targets"]
        if cfg.pairs != "none":
            shapes["encoder"]["types"] = ints(rows, inputs)
            shapes["pairs"] = {name: shapes[name] for name in ("places", "targets", "weights")}
    if isinstance(cfg, PermutationLM):
        shapes["places"] = shapes["targets"]
        for name in ("ranks", *["types"] * cfg.pairs):
            shapes["encoder"][name] = ints(rows, inputs)
    return shapes
