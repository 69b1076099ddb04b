"""Texts with a label for an encoder alone that has a classifier, for whole batches.

    encoder    one text or two in their frame (framing.py)
    summaries  where each frame's [CLS] stands in the row;  targets  the number of its label

In a token store a target is the label's tokens; `vocabulary.labels` say of which label they are.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from t2t.data.vocabulary import Vocabulary, require_roles
from t2t.errors import UserError
from t2t.objectives.classes_config import Classified
from t2t.objectives.framing import fitting, framed_sizes, lay_framed
from t2t.objectives.row_layout import RowLayout, put

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


def cut(cfg: Classified, first: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns how many tokens of texts, of second texts if there are any, and of targets [E] are used:
    of labels all."""
    *second, targets = others
    kept = fitting(first, *(second or [np.full_like(first, -1)]), cfg.separators, cfg.length)
    return *kept[: 1 + len(second)], targets


def sizes(cfg: Classified, first: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Returns how many (tokens, labels) of a row texts of these lengths, as `cut` has them, take: [E, 2]."""
    *second, targets = others
    whole = framed_sizes(first, *(second or [np.full_like(first, -1)]), cfg.separators)
    return np.stack([whole, np.ones_like(targets)], axis=1)


def make_pairs_batch(
    cfg: Classified,
    vocabulary,
    tokens: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    examples_in_row: np.ndarray,
    seconds: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict:
    """Lays texts into rows; returns a Batch without `sample`. As text_to_text's.

    seconds: (starts, lengths) of second texts, of -1 tokens where there is none.
    Raises: UserError for a target that is none of the labels.
    """
    starts, lengths_of = seconds or (inputs[0], np.full_like(inputs[1], -1))
    of_second = np.maximum(lengths_of, 0)
    both = inputs[1] + of_second
    texts, begin = np.empty(int(both.sum()), np.int32), np.cumsum(both) - both
    put(texts, begin, tokens, *inputs)
    put(texts, begin + inputs[1], tokens, starts, of_second)
    framed = lay_framed(
        vocabulary,
        cfg.last,
        texts,
        inputs[1],
        examples_in_row,
        cfg.length,
        lengths_of,
        cfg.separators,
        cfg.types,
    )
    labels = RowLayout(examples_in_row, np.ones(len(inputs[1]), np.int64), lengths(cfg)[1])
    return {
        "encoder": framed.encoder,
        "summaries": labels.lay(framed.summaries, 0),
        "targets": labels.lay(label_numbers(cfg.labels, vocabulary.labels, tokens, *targets), 0),
        "weights": labels.filled.astype(np.float32),
    }


def label_numbers(
    names: tuple[str, ...],
    labels: tuple[tuple[int, ...], ...],
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
) -> np.ndarray:
    """Returns which of the labels, of these names and tokens, each target is, [E]."""
    found = np.full(len(starts), -1)
    for number, label in enumerate(labels):
        alike = np.flatnonzero(sizes == len(label))
        there = tokens[starts[alike][:, None] + np.arange(len(label))]
        found[alike[(there == np.array(label, tokens.dtype)).all(axis=1)]] = number
    if (found < 0).any():
        raise UserError(
            f"config.objective.labels: a target of the task is none of {', '.join(names)}; name "
            "all that it has"
        )
    return found
