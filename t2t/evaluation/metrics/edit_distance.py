"""Word-level Levenshtein distance (rapidfuzz), T5's rule for words: lower case, cut at every
character that is not of a word, so that two of them in a row make an empty word."""

import re
from collections.abc import Sequence

import numpy as np

from t2t.evaluation.metrics.metric import Judged, Metric, texts


def words(text: str) -> list[str]:
    return re.split(r"[^\w]", text.lower())


def _rows(judged: Sequence[Judged]) -> np.ndarray:
    from rapidfuzz.distance import Levenshtein

    return np.array(
        [
            [
                min(
                    Levenshtein.distance(words(one.value or ""), words(text))
                    for text in texts(one.truth)
                )
            ]
            for one in judged
        ],
        np.int64,
    )


def _scores(rows: np.ndarray) -> dict[str, float]:
    distances = rows[:, 0]
    return {
        "min_edit": float(distances.min()),
        "max_edit": float(distances.max()),
        "mean_edit": float(distances.mean()),
        "median_edit": float(np.median(distances)),
        "sum_edit": float(distances.sum()),
    }


EDIT_DISTANCE = Metric(_rows, _scores, ("*_edit",), packages=("rapidfuzz",), lower=True)
