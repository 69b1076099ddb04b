"""ERNIE 2.0's IR relevance: how well a title answers a query, beside the tasks of running text.

    [CLS] query [SEP] title [SEP]      types 0 and 1, a task of its own; nothing is masked

A batch has what `ernie_tasks`' has, with no predictions but `sentence_labels["relevance"]` at each [CLS].
"""

import numpy as np

from t2t.objectives import classes, ernie_tasks
from t2t.objectives.classes import label_numbers
from t2t.objectives.ernie_config import ALL_TASKS, Relevance
from t2t.objectives.row_layout import RowLayout
from t2t.objectives.segment_rows import lay_segments

cut, sizes = classes.cut, classes.sizes


def lengths(cfg: Relevance) -> tuple[int, int]:
    """Returns (tokens, labels) of a row: there is room for as many as for predictions of masked tokens."""
    return ernie_tasks.lengths(cfg.tasks)


def always_full(cfg: Relevance) -> bool:
    """Never: texts differ in length."""
    return False


def check_vocabulary(cfg: Relevance, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has [MASK], [CLS] and [SEP]."""
    ernie_tasks.check_vocabulary(cfg.tasks, vocabulary, where)


def make_pairs_batch(
    cfg: Relevance,
    vocabulary,
    tokens: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    examples_in_row: np.ndarray,
    seconds: tuple[np.ndarray, np.ndarray],
) -> dict:
    """Lays queries (inputs) and titles (seconds) into rows; returns a Batch without `sample`.

    As classes.py's. Raises: UserError for a target that is none of the labels.
    """
    size = np.stack([inputs[1], np.maximum(seconds[1], 0)], axis=1)
    column = np.arange(int(size.max(initial=1)))
    texts = [tokens.take(starts[:, None] + column, mode="clip") for starts, _ in (inputs, seconds)]
    first = np.tile([0, len(column)], (len(size), 1))
    rows, whole, segment, _ = lay_segments(np.concatenate(texts, 1), first, size, vocabulary)
    inside = np.arange(rows.shape[1]) < whole[:, None]
    batch = _nothing(cfg, len(examples_in_row))
    side = RowLayout(examples_in_row, whole, cfg.length)
    labels = RowLayout(examples_in_row, np.ones(len(size), np.int64), lengths(cfg)[1])
    batch["encoder"] = {
        "tokens": side.lay(rows[inside], int(vocabulary.pad_id)),
        "types": side.lay(segment[inside], 0),
        "tasks": side.lay(np.full(int(whole.sum()), ALL_TASKS.index("relevance")), 0),
        **side.segments_and_positions(),
    }
    batch["sentence_labels"]["relevance"] = {
        "places": labels.lay(side.offsets, 0),
        "targets": labels.lay(label_numbers(cfg.labels, vocabulary.labels, tokens, *targets), 0),
        "weights": labels.filled.astype(np.float32),
    }
    return batch


def _nothing(cfg: Relevance, rows: int) -> dict:
    """A batch without any prediction."""
    most = lengths(cfg)[1]
    shapes = {"targets": ((rows, most), np.int32), "weights": ((rows, most), np.float32)}

    def zeros(shape):
        if isinstance(shape, dict):
            return {name: zeros(one) for name, one in shape.items()}
        return np.zeros(*shape)

    return zeros(shapes | ernie_tasks.more_shapes(cfg.tasks, rows, shapes))
