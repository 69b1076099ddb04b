"""From an objective's configuration to the module that implements it.

Every such module has `lengths`, `always_full` and `check_vocabulary`. Those that make their examples
of running text have `raw_length`, `lengths_for` and `make_packed_batch` too (see
span_corruption.py); those that take pairs (see text_to_text.py) have `cut`, `sizes` and
`make_pairs_batch`, or `windows` in the place of the former two; classes.py's take second texts too.
"""

from types import ModuleType

import numpy as np

from t2t.objectives import (
    causal_lm,
    classes,
    cloze,
    continuation,
    ernie_tasks,
    extractive_spans,
    masked_lm,
    permutation_lm,
    prefix_lm,
    relevance,
    span_corruption,
    text_to_text,
    ul2,
)
from t2t.objectives.classes_config import Classes, Classified
from t2t.objectives.config import (
    DECODER,
    ENCODER,
    UL2,
    CausalLM,
    Cloze,
    Continuation,
    ErnieTasks,
    ExtractiveSpans,
    Objective,
    PermutationLM,
    PrefixLM,
    SpanCorruption,
    TextToText,
)
from t2t.objectives.ernie_config import Relevance
from t2t.objectives.masking_config import MaskedLM

Posed = TextToText | Continuation | Cloze | ExtractiveSpans | Classified | Relevance
# Whose answers a head of their own gives: a span of a context, a class.
Headed = ExtractiveSpans | Classes

_MODULES: dict[type, ModuleType] = {
    SpanCorruption: span_corruption,
    TextToText: text_to_text,
    Continuation: continuation,
    Cloze: cloze,
    PrefixLM: prefix_lm,
    UL2: ul2,
    CausalLM: causal_lm,
    MaskedLM: masked_lm,
    PermutationLM: permutation_lm,
    ErnieTasks: ernie_tasks,
    ExtractiveSpans: extractive_spans,
    Classified: classes,
    Relevance: relevance,
}


def implementation(cfg: Objective) -> ModuleType:
    """Returns the module whose functions take `cfg`."""
    return _MODULES[type(cfg)]


def posed(
    cfg: Objective, stacks: str, last: bool = False, types: bool = False
) -> Objective | Posed:
    """Returns `cfg` as a model of these stacks is given it: TextToText is another for each.

    last: whether an encoder's [CLS] stands behind its text; types: whether it has types for two.
    """
    if isinstance(cfg, TextToText) and stacks == DECODER:
        both = cfg.inputs_length, cfg.targets_length
        return Continuation(sum(both), *both)
    if isinstance(cfg, TextToText) and stacks == ENCODER:
        return Cloze(cfg.inputs_length, cfg.targets_length, last)
    if isinstance(cfg, Classes):
        return Classified(cfg.labels, cfg.length, last, types=types and cfg.plain)
    return cfg


def of_pairs(cfg: Objective | Posed) -> Posed:
    """Returns how a run with objective `cfg` poses the pairs of a task: in rows of its lengths."""
    if isinstance(cfg, Posed):
        return cfg
    if isinstance(cfg, ErnieTasks):
        return Relevance(cfg)
    lengths = implementation(cfg).lengths(cfg)
    if cfg.suits == DECODER:
        return Continuation(lengths[0], *lengths)
    return Cloze(*lengths) if cfg.suits == ENCODER else TextToText(*lengths)


def headed(cfg: Objective) -> Headed | None:
    """Returns `cfg` where answers are spans of a context or classes; None: they are texts."""
    return cfg if isinstance(cfg, Headed) else None


def labels_of(cfg: Objective) -> tuple[str, ...]:
    """The classes of a task's texts, where a head tells them."""
    if isinstance(cfg, ErnieTasks):
        return cfg.relevance
    return cfg.labels if isinstance(cfg, Classes) else ()


def plain_texts(cfg: Objective) -> bool:
    """Whether a task's one or two texts are shown as published, not its input."""
    return bool(cfg.relevance) if isinstance(cfg, ErnieTasks) else getattr(cfg, "plain", False)


def stride_of(cfg: Objective) -> int:
    """How many raw tokens a row of a stream begins behind the row before it."""
    implemented = implementation(cfg)
    return getattr(implemented, "stride", implemented.raw_length)(cfg)


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
    if isinstance(cfg, ErnieTasks):
        return shapes | ernie_tasks.more_shapes(cfg, rows, shapes)
    if isinstance(cfg, ExtractiveSpans):
        shapes["encoder"]["types"] = ints(rows, inputs)
    if isinstance(cfg, Classified):
        shapes["summaries"] = shapes["targets"]
    if getattr(cfg, "last", False) or getattr(cfg, "types", False):
        shapes["encoder"]["types"] = ints(rows, inputs)
    if isinstance(cfg, MaskedLM | Cloze):
        shapes["places"] = shapes["targets"]
        if getattr(cfg, "pairs", "none") != "none":
            shapes["encoder"]["types"] = ints(rows, inputs)
            shapes["pairs"] = {name: shapes[name] for name in ("places", "targets", "weights")}
    if isinstance(cfg, PermutationLM):
        shapes["places"] = shapes["targets"]
        for name in ("ranks", *["types"] * cfg.pairs):
            shapes["encoder"][name] = ints(rows, inputs)
        if cfg.both_ways:
            shapes["encoder"]["backward"] = ints(rows)
    return shapes
