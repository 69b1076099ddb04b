"""Every metric by name, an explicit table."""

import fnmatch
import importlib.util
from collections.abc import Iterable

from t2t.errors import UserError, install_extra, nearest
from t2t.evaluation.metrics import (
    accuracy,
    bleu,
    correlation,
    edit_distance,
    f1,
    likelihood,
    matthews,
    question_answering,
    rouge,
)
from t2t.evaluation.metrics.metric import Metric
from t2t.evaluation.metrics.own_metric import own_metric

METRICS: dict[str, Metric] = {
    "accuracy": accuracy.ACCURACY,
    "sequence_accuracy": accuracy.SEQUENCE_ACCURACY,
    "exact_match": accuracy.EXACT_MATCH,
    "f1": f1.F1,
    "macro_f1": f1.MACRO_F1,
    "matthews_corrcoef": matthews.MATTHEWS,
    "pearson_corrcoef": correlation.PEARSON,
    "spearman_corrcoef": correlation.SPEARMAN,
    "squad": question_answering.SQUAD,
    "squad_v2": question_answering.SQUAD_V2,
    "trivia_qa": question_answering.TRIVIA_QA,
    "record": question_answering.RECORD,
    "bleu": bleu.BLEU,
    "rouge": rouge.ROUGE,
    "edit_distance": edit_distance.EDIT_DISTANCE,
    "perplexity": likelihood.PERPLEXITY,
    "bits_per_byte": likelihood.BITS_PER_BYTE,
}


def check_known(name: str, where: str) -> None:
    """Raises UserError with the nearest name where there is no such metric; the user's own is not
    looked at."""
    if ":" not in name and name not in METRICS:
        raise UserError(
            f"{where}: no metric {name!r}{nearest(name, METRICS)}; there are "
            f"{', '.join(METRICS)}, and your own as module:function or file.py:function"
        )


def metric(name: str, where: str) -> Metric:
    """The metric of that name, or the user's own.

    Raises UserError with the nearest name, or saying how to get the packages that it needs.
    """
    if ":" in name:
        return own_metric(name, where)
    check_known(name, where)
    absent = [one for one in METRICS[name].packages if not importlib.util.find_spec(one)]
    if absent:
        raise UserError(
            f"{where}: the metric {name} needs the package {absent[0]}; {install_extra('eval')}"
        )
    return METRICS[name]


def scores_given(metrics: Iterable[str]) -> list[str]:
    """The names, or patterns of them, of the scores that these metrics give."""
    return [score for name in metrics for score in (("*",) if ":" in name else METRICS[name].names)]


def lower_is_better(score: str) -> bool:
    """Whether less of a score is better; of a user's own it is taken that more is."""
    return any(
        one.lower and any(fnmatch.fnmatch(score, own) for own in one.names)
        for one in METRICS.values()
    )
