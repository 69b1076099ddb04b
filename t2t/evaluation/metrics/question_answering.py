"""Exact match and token F1 of answers: SQuAD's and TriviaQA's rules; ReCoRD's by query.

SQuAD 2.0's (Rajpurkar et al. 2018) where some questions have no answer.

Rajpurkar et al. 2016; Joshi et al. 2017. Of several right answers the best counts.
"""

import collections
import re
import string
from collections.abc import Callable, Sequence

import numpy as np

from t2t.evaluation.metrics.metric import Judged, Metric, groups, texts

_TRIVIA_PUNCTUATION = string.punctuation + "‘’´`_"
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad_normalized(text: str) -> str:
    """Lower case, ASCII punctuation deleted, articles and extra white space dropped."""
    return _normalized(text, str.maketrans("", "", string.punctuation))


def trivia_qa_normalized(text: str) -> str:
    """As SQuAD's, but punctuation, some quotes too, becomes a space."""
    return _normalized(text, str.maketrans(dict.fromkeys(_TRIVIA_PUNCTUATION, " ")))


def _normalized(text: str, punctuation: dict) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(punctuation)).split())


def token_f1(truth: str, prediction: str) -> float:
    """F1 of the bags of words; 0 where they share none, and so where both are empty (SQuAD)."""
    wanted, said = truth.split(), prediction.split()
    shared = sum((collections.Counter(wanted) & collections.Counter(said)).values())
    return 2 * shared / (len(wanted) + len(said)) if shared else 0.0


def _rows(normalized: Callable[[str], str]) -> Callable[[Sequence[Judged]], np.ndarray]:
    def rows(judged: Sequence[Judged]) -> np.ndarray:
        """[exact match, F1]."""
        found = []
        for one in judged:
            truths = [normalized(answer) for answer in texts(one.truth)]
            prediction = normalized(one.value or "")
            found.append(
                [
                    max(truth == prediction for truth in truths),
                    max(token_f1(truth, prediction) for truth in truths),
                ]
            )
        return np.array(found, np.float64)

    return rows


def _scores(rows: np.ndarray) -> dict[str, float]:
    em, f1 = 100 * rows.mean(axis=0)
    return {"em": float(em), "f1": float(f1)}


def _by_query(judged: Sequence[Judged]) -> np.ndarray:
    """T5: of ReCoRD's copies of a query, one for each answer, only the first counts."""
    return SQUAD.rows([copies[0] for copies in groups(judged).values()])


def _rows_v2(judged: Sequence[Judged]) -> np.ndarray:
    """[exact match, F1, is there an answer]: no answer is right against none, and nothing else."""
    found = SQUAD.rows(judged)
    wanted = [[squad_normalized(answer) for answer in texts(one.truth)] for one in judged]
    given = np.array([squad_normalized(one.value or "") != "" for one in judged])
    there = np.array([any(of) for of in wanted])
    # Where answer or truth is empty F1 is whether both are (evaluate-v2.0.py).
    f1 = np.where(there & given, found[:, 1], there == given)
    return np.stack([np.where(there == given, found[:, 0], 0), f1, there], axis=1)


def _scores_v2(rows: np.ndarray) -> dict[str, float]:
    there = rows[:, 2] > 0
    with_answer, without = rows[there], rows[~there]
    return {
        **_scores(rows[:, :2]),
        "has_answer_f1": float(100 * with_answer[:, 1].mean()) if there.any() else float("nan"),
        "no_answer_f1": float(100 * without[:, 1].mean()) if not there.all() else float("nan"),
    }


_NAMES = ("em", "f1")
SQUAD = Metric(_rows(squad_normalized), _scores, _NAMES)
TRIVIA_QA = Metric(_rows(trivia_qa_normalized), _scores, _NAMES)
SQUAD_V2 = Metric(_rows_v2, _scores_v2, (*_NAMES, "has_answer_f1", "no_answer_f1"))
RECORD = Metric(_by_query, _scores, _NAMES)
