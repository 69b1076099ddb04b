"""Causal language modelling for whole batches: a decoder alone predicts a text from its beginning.

    decoder  start, token 0, token 1, ...      targets  token 0, token 1, token 2, ...

`start` is the vocabulary's BOS, or its EOS where it has none: what stands before every text.
"""

import numpy as np

from t2t.objectives.config import CausalLM
from t2t.objectives.row_layout import flat_examples, lay_decoder


def raw_length(cfg: CausalLM) -> int:
    """Raw tokens that fill a row."""
    return cfg.length


def lengths_for(cfg: CausalLM, raw: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lengths of examples of `raw` tokens, of what is read and of what is predicted."""
    return np.asarray(raw), np.asarray(raw)


def lengths(cfg: CausalLM) -> tuple[int, int]:
    """Returns the lengths of a row, of what is read and of what is predicted."""
    return cfg.length, cfg.length


def always_full(cfg: CausalLM) -> bool:
    """Whether a row of `raw_length` tokens has no padding."""
    return True


def check_vocabulary(cfg: CausalLM, vocabulary, where: str = "objective") -> None:
    """Accepts any vocabulary: all have an EOS."""


def make_packed_batch(
    cfg: CausalLM,
    vocabulary,
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    draw,
    full: bool = False,
) -> dict:
    """Lays examples e = tokens[starts[e] : starts[e] + sizes[e]] into rows; nothing is drawn.

    Row r [B] takes the next `examples_in_row[r]` of them. full: every row that has an example has
    one that fills it, and there are no `segments` and `positions`.
    """
    targets = flat_examples(tokens, starts, sizes)
    return lay_decoder(
        vocabulary, targets, sizes, examples_in_row, cfg.length, vocabulary.start_id, full
    )
