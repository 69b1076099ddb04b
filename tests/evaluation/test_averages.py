"""GLUE's and SuperGLUE's averages, against those that the T5 paper prints beside its scores."""

import fnmatch

import pytest

from t2t.evaluation.averages import GLUE, SUPER_GLUE, averages
from t2t.evaluation.metrics.catalog import scores_given
from t2t.tasks.catalog import TASKS


def scores(suite, values) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    flat = iter(values)
    for parts in suite:
        for task, metric in parts:
            found.setdefault(task, {})[metric] = next(flat)
    assert next(flat, None) is None
    return found


# T5-Base of Raffel et al. 2020, table 14: CoLA, SST-2, MRPC F1/acc, STS-B P/S, QQP F1/acc, MNLI
# m/mm, QNLI, RTE. Its GLUE average there counts WNLI (78.8) too: 82.7.
T5_BASE = [51.1, 95.2, 90.7, 87.5, 89.4, 88.6, 72.6, 89.4, 87.1, 86.2, 93.7, 80.1]


def test_the_glue_average_is_that_of_the_paper():
    (found,) = averages(scores(GLUE, T5_BASE)).values()
    # The leaderboard's nine tasks with WNLI; T5's development average leaves it out.
    assert (8 * found + 78.8) / 9 == pytest.approx(82.7, abs=0.05)


def test_the_super_glue_average_by_hand():
    values = [81.0, 90.0, 94.0, 71.0, 70.0, 40.0, 75.0, 74.0, 80.0, 69.0, 82.0]
    by_hand = (81 + (90 + 94) / 2 + 71 + (70 + 40) / 2 + (75 + 74) / 2 + 80 + 69 + 82) / 8
    assert averages(scores(SUPER_GLUE, values)) == pytest.approx({"SuperGLUE": by_hand})


def test_no_average_where_a_task_is_missing():
    found = scores(GLUE, T5_BASE)
    del found["glue_rte"]
    assert averages(found) == {}
    assert averages({}) == {}


def test_the_averages_take_scores_that_the_tasks_give():
    for parts in (*GLUE, *SUPER_GLUE):
        for task, score in parts:
            given = scores_given(TASKS[task].metrics)
            assert any(fnmatch.fnmatch(score, name) for name in given), (task, score)
