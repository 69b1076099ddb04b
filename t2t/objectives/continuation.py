"""Pairs of texts for a decoder alone: one text, of which the target is predicted.

    decoder  start, input, target      targets  input, target, EOS      weights  0 on the input

`start` is what stands before every text (see causal_lm.py).
"""

import numpy as np

from t2t.objectives.config import Continuation
from t2t.objectives.row_layout import RowLayout, lay_decoder, put


def lengths(cfg: Continuation) -> tuple[int, int]:
    """Returns the lengths of a row, of what is read and of what is predicted."""
    return cfg.length, cfg.length


def always_full(cfg: Continuation) -> bool:
    """Whether rows have no padding: never, pairs differ in length."""
    return False


def check_vocabulary(cfg: Continuation, vocabulary, where: str = "objective") -> None:
    """Accepts any vocabulary: all have an EOS."""


def cut(
    cfg: Continuation, inputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many tokens of inputs and of targets [E] are used; a target has room first."""
    targets = np.minimum(targets, min(cfg.targets_length, cfg.length) - 1)
    return np.minimum(np.minimum(inputs, cfg.inputs_length - 1), cfg.length - 1 - targets), targets


def sizes(cfg: Continuation, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns how many (places, predictions) of a row pairs of these lengths, cut, take: [E, 2]."""
    return np.stack([inputs + targets + 1, targets + 1], axis=1)


def make_pairs_batch(
    cfg: Continuation,
    vocabulary,
    tokens: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    examples_in_row: np.ndarray,
) -> dict:
    """Lays pairs into rows; returns a Batch without `sample`. As text_to_text's."""
    whole = inputs[1] + targets[1] + 1
    begin = np.cumsum(whole) - whole
    flat = np.full(int(whole.sum()), vocabulary.eos_id, np.int32)
    put(flat, begin, tokens, *inputs)
    put(flat, begin + inputs[1], tokens, *targets)
    batch = lay_decoder(
        vocabulary, flat, whole, examples_in_row, cfg.length, int(vocabulary.start_id)
    )
    place = np.arange(len(flat)) - np.repeat(begin, whole)
    predicted = (place >= np.repeat(inputs[1], whole)).astype(np.int32)
    weights = RowLayout(examples_in_row, whole, cfg.length).lay(predicted, 0)
    return {**batch, "weights": weights.astype(np.float32)}
