"""ROUGE-1, -2 and -Lsum by rouge-score with T5's settings: no stemmer, mean F times 100.

T5's rule for sentences: ` . ` ends one (becomes ` .` and a line break), which Lsum goes by.
"""

import functools
from collections.abc import Sequence

import numpy as np

from t2t.evaluation.metrics.metric import Judged, Metric, texts

KINDS = ("rouge1", "rouge2", "rougeLsum")


@functools.cache
def _scorer():
    from rouge_score import rouge_scorer

    return rouge_scorer.RougeScorer(KINDS, use_stemmer=False)


def _with_lines(text: str) -> str:
    return text.replace(" . ", " .\n")


def _rows(judged: Sequence[Judged]) -> np.ndarray:
    rows = []
    for one in judged:
        truths = [_with_lines(answer) for answer in texts(one.truth)]
        scored = _scorer().score_multi(truths, _with_lines(one.value or ""))
        rows.append([scored[kind].fmeasure for kind in KINDS])
    return np.array(rows, np.float64)


def _scores(rows: np.ndarray) -> dict[str, float]:
    return dict(zip(KINDS, (100 * rows.mean(axis=0)).tolist(), strict=True))


ROUGE = Metric(_rows, _scores, KINDS, packages=("rouge_score",))
