"""BLEU by sacrebleu with T5's settings: tokenize=intl, smooth exp, case kept, corpus level."""

import functools
from collections.abc import Sequence

import numpy as np

from t2t.evaluation.metrics.metric import Judged, Metric, texts


@functools.cache
def _counter():
    # effective_order changes sentences' own scores only, which are not used.
    import sacrebleu

    return sacrebleu.BLEU(
        tokenize="intl", smooth_method="exp", lowercase=False, effective_order=True
    )


def _rows(judged: Sequence[Judged]) -> np.ndarray:
    """[system length, reference length, 4 matched n-grams, 4 n-grams] of each sentence."""
    rows = []
    for one in judged:
        counted = _counter().sentence_score(one.value or "", list(texts(one.truth)))
        rows.append([counted.sys_len, counted.ref_len, *counted.counts, *counted.totals])
    return np.array(rows, np.int64)


def _bleu(rows: np.ndarray) -> dict[str, float]:
    import sacrebleu

    system, reference, *ngrams = rows.sum(axis=0).tolist()
    score = sacrebleu.BLEU.compute_bleu(
        correct=ngrams[:4],
        total=ngrams[4:],
        sys_len=system,
        ref_len=reference,
        smooth_method="exp",
        smooth_value=0.0,
        effective_order=False,
    )
    return {"bleu": float(score.score)}


BLEU = Metric(_rows, _bleu, ("bleu",), packages=("sacrebleu",))
