"""Pairs of texts for an encoder alone: the target is what stands at masks behind the input.

    encoder  the input, then a [MASK] for each of the target's tokens, in their frame (framing.py)
    places   where the masks stand in the row;  targets  the target's tokens

All masks of an answer are masked at once, each is predicted from the input alone (PET's reading of
label words, Schick and Schuetze 2021), in training as where answers are chosen (t2t.decoding.cloze).
Where the labels of a task differ in length the number of masks tells in training which it is, so that the
input need not be read: those are trained by a classifier (classes.py) instead.
A batch is of the form that masked_lm.py has.
"""

import numpy as np

from t2t.objectives import masked_lm
from t2t.objectives.config import Cloze
from t2t.objectives.framing import ADDED, lay_framed
from t2t.objectives.row_layout import RowLayout, flat_examples, put


def lengths(cfg: Cloze) -> tuple[int, int]:
    """Returns (tokens, predictions) of a row."""
    return cfg.length, cfg.answers


def always_full(cfg: Cloze) -> bool:
    """Whether rows have no padding: never, pairs differ in length."""
    return False


def check_vocabulary(cfg: Cloze, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has [MASK], [CLS] and [SEP]."""
    masked_lm.check_vocabulary(cfg, vocabulary, where)


def cut(cfg: Cloze, inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many tokens of inputs and of targets [E] are used; a target has room first."""
    targets = np.minimum(targets, min(cfg.answers, cfg.length - ADDED))
    return np.minimum(inputs, cfg.length - ADDED - targets), targets


def sizes(cfg: Cloze, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns how many (tokens, masks) of a row pairs of these lengths, cut, take: [E, 2]."""
    return np.stack([inputs + targets + ADDED, targets], axis=1)


def make_pairs_batch(
    cfg: Cloze,
    vocabulary,
    tokens: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    examples_in_row: np.ndarray,
) -> dict:
    """Lays pairs into rows; returns a Batch without `sample`. As text_to_text's."""
    both = inputs[1] + targets[1]
    texts = np.full(int(both.sum()), vocabulary.mask_id, np.int32)
    put(texts, np.cumsum(both) - both, tokens, *inputs)
    framed = lay_framed(vocabulary, cfg.last, texts, both, examples_in_row, cfg.length)
    predictions = RowLayout(examples_in_row, targets[1], cfg.answers)
    masks = np.arange(int(targets[1].sum()))
    first = framed.begins + inputs[1] - (np.cumsum(targets[1]) - targets[1])
    answers = flat_examples(tokens, *targets)
    return {
        "encoder": framed.encoder,
        "places": predictions.lay(masks + np.repeat(first, targets[1]), 0),
        "targets": predictions.lay(answers, int(vocabulary.pad_id)),
        "weights": predictions.filled.astype(np.float32),
    }
