"""Prefix language modelling for whole batches: the encoder reads a text's beginning.

    encoder  token 0, ..., token k - 1, EOS      targets  token k, ..., token n - 1, EOS

k is uniform in 1 .. n - 1 (t5 preprocessors.py, random_prefix_noise_mask).
"""

import numpy as np

from t2t.data.order import below
from t2t.objectives import text_to_text
from t2t.objectives.config import PrefixLM, TextToText


def raw_length(cfg: PrefixLM) -> int:
    """Raw tokens of a row."""
    return cfg.length - 1


def lengths_for(cfg: PrefixLM, raw: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the most that inputs and targets of examples of `raw` tokens take; 0 for 0."""
    # All tokens but one, and EOS.
    return np.asarray(raw), np.asarray(raw)


def lengths(cfg: PrefixLM) -> tuple[int, int]:
    """Returns (inputs, targets) lengths of a batch."""
    return cfg.length, cfg.length


def always_full(cfg: PrefixLM) -> bool:
    """Whether rows have no padding: never, the cut is anywhere."""
    return False


def check_vocabulary(cfg: PrefixLM, vocabulary, where: str = "objective") -> None:
    """Accepts any vocabulary: EOS is all that is added."""


def make_packed_batch(
    cfg: PrefixLM,
    vocabulary,
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    draw,
    full: bool = False,
) -> dict:
    """Cuts examples e = tokens[starts[e] : starts[e] + sizes[e]] in two and lays them into rows.

    Row r [B] takes the next `examples_in_row[r]` of them, each of at least two tokens.
    """
    prefix = 1 + below(draw(1)[:, 0], np.maximum(sizes - 1, 1))
    return text_to_text.make_pairs_batch(
        TextToText(cfg.length, cfg.length),
        vocabulary,
        tokens,
        (starts, prefix),
        (starts + prefix, sizes - prefix),
        examples_in_row,
    )
