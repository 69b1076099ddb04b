"""F1 of two labels (MRPC, QQP, MultiRC) and its mean over several (CB), by scikit-learn."""

from collections.abc import Sequence

import numpy as np

from t2t.errors import UserError
from t2t.evaluation.metrics.metric import Judged, Metric, label_pairs, pair_counts


def _binary_rows(judged: Sequence[Judged]) -> np.ndarray:
    """T5: a prediction that is no label counts as the opposite of the truth."""
    rows = label_pairs(judged)
    if not np.isin(rows[:, 0], (0, 1)).all():
        raise UserError("f1 judges two labels; the task has more (macro_f1 takes any number)")
    invalid = ~np.isin(rows[:, 1], (0, 1))
    rows[invalid, 1] = 1 - rows[invalid, 0]
    return rows


def _binary(rows: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import f1_score

    truths, values, counts = pair_counts(rows)
    score = f1_score(truths, values, sample_weight=counts, labels=[0, 1], zero_division=0)
    return {"f1": 100 * float(score)}


def _macro_rows(judged: Sequence[Judged]) -> np.ndarray:
    """[truth, prediction (-1: no label), classes]."""
    classes = np.array([[one.classes] for one in judged], np.int64)
    return np.concatenate([label_pairs(judged), classes], axis=1)


def _macro(rows: np.ndarray) -> dict[str, float]:
    """A prediction that is no label misses its class and adds to no other."""
    from sklearn.metrics import f1_score

    classes = int(rows[0, 2])
    truths, values, counts = pair_counts(rows)
    score = f1_score(
        truths,
        values,
        sample_weight=counts,
        labels=range(classes),
        average="macro",
        zero_division=0,
    )
    return {f"mean_{classes}class_f1": 100 * float(score)}


F1 = Metric(_binary_rows, _binary, ("f1",), packages=("sklearn",))
MACRO_F1 = Metric(_macro_rows, _macro, ("mean_*class_f1",), packages=("sklearn",))
