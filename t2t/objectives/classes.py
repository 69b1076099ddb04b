"""Texts with a label for an encoder alone that has a classifier, for whole batches.

    encoder    the input in its frame (framing.py)
    summaries  where each text's [CLS] stands in the row;  targets  the number of its label

In a token store a target is the label's tokens; `vocabulary.labels` say of which label they are.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from t2t.data.vocabulary import Vocabulary, require_roles
from t2t.errors import UserError
from t2t.objectives.classes_config import Classified
from t2t.objectives.framing import ADDED, lay_framed
from t2t.objectives.row_layout import RowLayout, flat_examples

_SHORT = 16  # tokens: a row has room for so many texts of that length


def lengths(cfg: Classified) -> tuple[int, int]:
    """Returns (tokens, texts) of a row."""
    return cfg.length, max(1, cfg.length // _SHORT)


def always_full(cfg: Classified) -> bool:
    """Whether rows have no padding: never, texts differ in length."""
    return False


def check_vocabulary(cfg: Classified, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has [CLS] and [SEP]."""
    require_roles(vocabulary, ("cls", "sep"), where)


def with_labels(
    vocabulary: Vocabulary, labels: Sequence[str], spelled: Sequence[np.ndarray]
) -> Vocabulary:
    """Returns the vocabulary with the labels' tokens. Raises: UserError where two are spelled alike."""
    rows = tuple(tuple(ids.tolist()) for ids in spelled)
    for number, row in enumerate(rows):
        if row in rows[:number]:
            raise UserError(
                f"config.objective.labels: the vocabulary spells {labels[rows.index(row)]!r} and "
                f"{labels[number]!r} alike; use a tokenizer that tells them apart"
            )
    return dataclasses.replace(vocabulary, labels=rows)


def cut(cfg: Classified, inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many tokens of inputs and of targets [E] are used: of labels all."""
    return np.minimum(inputs, cfg.length - ADDED), targets


def sizes(cfg: Classified, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns how many (tokens, texts) of a row texts of these lengths, cut, take: [E, 2]."""
    return np.stack([inputs + ADDED, np.ones_like(targets)], axis=1)


def make_pairs_batch(
    cfg: Classified,
    vocabulary,
    tokens: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    examples_in_row: np.ndarray,
) -> dict:
    """Lays texts into rows; returns a Batch without `sample`. As text_to_text's.

    Raises: UserError for a target that is none of the labels.
    """
    framed = lay_framed(
        vocabulary,
        cfg.last,
        flat_examples(tokens, *inputs),
        inputs[1],
        examples_in_row,
        cfg.length,
    )
    texts = RowLayout(examples_in_row, np.ones(len(inputs[1]), np.int64), lengths(cfg)[1])
    return {
        "encoder": framed.encoder,
        "summaries": texts.lay(framed.summaries, 0),
        "targets": texts.lay(_numbers(cfg, vocabulary.labels, tokens, *targets), 0),
        "weights": texts.filled.astype(np.float32),
    }


def _numbers(
    cfg: Classified,
    labels: tuple[tuple[int, ...], ...],
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
) -> np.ndarray:
    """Returns which of the labels each target is, [E]."""
    found = np.full(len(starts), -1)
    for number, label in enumerate(labels):
        alike = np.flatnonzero(sizes == len(label))
        there = tokens[starts[alike][:, None] + np.arange(len(label))]
        found[alike[(there == np.array(label, tokens.dtype)).all(axis=1)]] = number
    if (found < 0).any():
        raise UserError(
            f"config.objective.labels: a target of the task is none of {', '.join(cfg.labels)}; name "
            "all that it has"
        )
    return found
