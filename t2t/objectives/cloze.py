"""Pairs of texts for an encoder alone: the target is what stands at masks behind the input.

    encoder  [CLS], input, a [MASK] for each of the target's tokens, [SEP]; or, where [CLS] stands
             last (XLNet), input, masks, [SEP], [CLS], which is of segment type 2
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
from t2t.objectives.row_layout import RowLayout, flat_examples, put

# [CLS] and [SEP].
ADDED = 2


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
    whole = inputs[1] + targets[1] + ADDED
    begin = np.cumsum(whole) - whole
    flat = np.full(int(whole.sum()), vocabulary.mask_id, np.int32)
    ends = begin + whole - 1
    flat[ends - 1 if cfg.last else ends] = vocabulary.sep_id
    flat[ends if cfg.last else begin] = vocabulary.cls_id
    before = 0 if cfg.last else 1
    put(flat, begin + before, tokens, *inputs)
    side = RowLayout(examples_in_row, whole, cfg.length)
    predictions = RowLayout(examples_in_row, targets[1], cfg.answers)
    masks = np.arange(int(targets[1].sum()))
    first = side.offsets + before + inputs[1] - (np.cumsum(targets[1]) - targets[1])
    answers = flat_examples(tokens, *targets)
    encoder = {"tokens": side.lay(flat, int(vocabulary.pad_id))}
    if cfg.last:
        types = np.zeros_like(flat)
        types[ends] = 2
        encoder["types"] = side.lay(types, 0)
    return {
        "encoder": {**encoder, **side.segments_and_positions()},
        "places": predictions.lay(masks + np.repeat(first, targets[1]), 0),
        "targets": predictions.lay(answers, int(vocabulary.pad_id)),
        "weights": predictions.filled.astype(np.float32),
    }
