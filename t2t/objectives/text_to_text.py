"""Pairs of texts as inputs and targets (Raffel et al. 2020, section 2.4), for whole batches.

    encoder  input, EOS
    targets  target, EOS

Texts longer than their place are cut first, so that EOS always stands (seqio's
append_eos_after_trim): whoever says where they stand in the tokens cuts them with `cut`.
"""

import numpy as np

from t2t.objectives.config import TextToText
from t2t.objectives.row_layout import lay_batch, put


def lengths(cfg: TextToText) -> tuple[int, int]:
    """Returns (inputs, targets) lengths of a batch."""
    return cfg.inputs_length, cfg.targets_length


def always_full(cfg: TextToText) -> bool:
    """Whether a row fills encoder and decoder without padding: never, pairs differ in length."""
    return False


def check_vocabulary(cfg: TextToText, vocabulary, where: str = "objective") -> None:
    """Accepts any vocabulary: EOS is all that is added, and every vocabulary has it."""


def cut(cfg: TextToText, inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many tokens of inputs and of targets [E] are used: EOS gets the last place."""
    return np.minimum(inputs, cfg.inputs_length - 1), np.minimum(targets, cfg.targets_length - 1)


def sizes(cfg: TextToText, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns how many places of (inputs, targets) pairs of these lengths, cut, take: [E, 2]."""
    return np.stack([inputs, targets], axis=1) + 1


def make_pairs_batch(
    cfg: TextToText,
    vocabulary,
    tokens: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    examples_in_row: np.ndarray,
) -> dict:
    """Lays pairs into rows; returns a Batch without `sample`.

    inputs, targets: (starts, lengths), [E] each, places in the flat `tokens`; already cut. Row r [B]
    takes the next `examples_in_row[r]` pairs. Weights are 1 on targets and their EOS.
    """
    encoder = _with_eos(tokens, *inputs, vocabulary.eos_id)
    wanted = _with_eos(tokens, *targets, vocabulary.eos_id)
    return lay_batch(
        vocabulary, encoder, inputs[1] + 1, wanted, targets[1] + 1, examples_in_row, lengths(cfg)
    )


def _with_eos(tokens: np.ndarray, starts: np.ndarray, sizes: np.ndarray, eos: int) -> np.ndarray:
    """Returns the texts at `starts`, an EOS behind each, one behind the other (int32, flat)."""
    ends = np.cumsum(sizes + 1)
    flat = np.full(int(ends[-1]) if len(ends) else 0, eos, np.int32)
    put(flat, ends - (sizes + 1), tokens, starts, sizes)
    return flat
