"""Leaderboard files: their names, columns and values as GLUE and SuperGLUE describe them."""

import csv
import json
from pathlib import Path

import pytest

from t2t.errors import UserError
from t2t.evaluation.submission import FORMS, SUITES, missing, submit
from t2t.tasks.catalog import TASKS


def lines(task: str, values, ids=None) -> list[dict]:
    """As many lines as the test set has, the values over and over."""
    count = FORMS[task].count
    values = [values[i % len(values)] for i in range(count)]
    ids = ids or [(i,) for i in range(count)]
    return [{"id": list(i), "value": v} for i, v in zip(ids, values, strict=True)]


# What the leaderboards' own descriptions allow in each file.
GLUE = {
    "glue_cola": ("CoLA.tsv", [0, 1], {"0", "1"}),
    "glue_sst2": ("SST-2.tsv", [0, 1], {"0", "1"}),
    "glue_mrpc": ("MRPC.tsv", [0, 1], {"0", "1"}),
    "glue_mnli_matched": ("MNLI-m.tsv", [0, 1, 2], {"entailment", "neutral", "contradiction"}),
    "glue_mnli_mismatched": ("MNLI-mm.tsv", [0, 1, 2], {"entailment", "neutral", "contradiction"}),
    "glue_qnli": ("QNLI.tsv", [0, 1], {"entailment", "not_entailment"}),
    "glue_rte": ("RTE.tsv", [0, 1], {"entailment", "not_entailment"}),
    "glue_wnli": ("WNLI.tsv", [0, 1], {"0", "1"}),
    "glue_ax": ("AX.tsv", [0, 1, 2], {"entailment", "neutral", "contradiction"}),
    "glue_stsb": ("STS-B.tsv", [0.0, 3.2, 5.0], {"0.000", "3.200", "5.000"}),
}
SUPER_GLUE = {
    "super_glue_boolq": ("BoolQ.jsonl", [0, 1], {"false", "true"}),
    "super_glue_cb": ("CB.jsonl", [0, 1, 2], {"entailment", "contradiction", "neutral"}),
    "super_glue_copa": ("COPA.jsonl", [0, 1], {0, 1}),
    "super_glue_rte": ("RTE.jsonl", [0, 1], {"entailment", "not_entailment"}),
    "super_glue_wic": ("WiC.jsonl", [0, 1], {"false", "true"}),
    "super_glue_wsc": ("WSC.jsonl", [0, 1], {"False", "True"}),
    "super_glue_axb": ("AX-b.jsonl", [0, 1], {"entailment", "not_entailment"}),
    "super_glue_axg": ("AX-g.jsonl", [0, 1], {"entailment", "not_entailment"}),
}


@pytest.mark.parametrize("task", GLUE)
def test_a_glue_file(task, tmp_path):
    name, values, allowed = GLUE[task]
    path = submit(str(tmp_path), task, lines(task, values))
    assert path == f"{tmp_path}/GLUE/{name}"
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    assert header == ["index", "prediction"]
    assert [int(row[0]) for row in rows] == list(range(FORMS[task].count))
    assert {row[1] for row in rows} == allowed


@pytest.mark.parametrize("task", SUPER_GLUE)
def test_a_super_glue_file(task, tmp_path):
    name, values, allowed = SUPER_GLUE[task]
    path = submit(str(tmp_path), task, lines(task, values))
    assert path == f"{tmp_path}/SuperGLUE/{name}"
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    assert all(list(row) == ["idx", "label"] for row in rows)
    assert [row["idx"] for row in rows] == list(range(FORMS[task].count))
    assert {row["label"] for row in rows} == allowed


def test_labels_are_written_by_the_names_that_the_tasks_read(tmp_path):
    """The label that a task reads as number n is the one written for n."""
    for task in (*GLUE, *SUPER_GLUE):
        example = {
            "sentence": "a", "sentence1": "a", "sentence2": "b", "question": "a", "passage": "b",
            "question1": "a", "question2": "b", "premise": "a", "hypothesis": "b", "word": "a",
            "choice1": "a", "choice2": "b", "idx": 0,
        }  # fmt: skip
        if task in ("glue_stsb", "super_glue_wsc"):
            continue
        (made,) = TASKS[task].examples(example, "test")
        for number, choice in enumerate(made.choices):
            written = FORMS[task].written(number)
            assert written in (number, choice, choice.lower()), task


def test_multirc_nests_answers_in_questions_in_passages(tmp_path):
    count = FORMS["super_glue_multirc"].count
    ids = [(i // 6, i // 3, i) for i in range(count)]
    path = submit(
        str(tmp_path), "super_glue_multirc", lines("super_glue_multirc", [0, 1, None], ids)
    )
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    assert rows[0] == {
        "idx": 0,
        "passage": {
            "questions": [
                {"idx": 0, "answers": [{"idx": i, "label": v} for i, v in enumerate([0, 1, 0])]},
                {
                    "idx": 1,
                    "answers": [{"idx": 3 + i, "label": v} for i, v in enumerate([0, 1, 0])],
                },
            ]
        },
    }
    answers = [a for row in rows for q in row["passage"]["questions"] for a in q["answers"]]
    assert [answer["idx"] for answer in answers] == list(range(count))


def test_record_is_written_by_query_as_it_was_said(tmp_path):
    count = FORMS["super_glue_record"].count
    ids = [(i // 2, i) for i in range(count)]
    path = submit(
        str(tmp_path), "super_glue_record", lines("super_glue_record", ["Zoë", None], ids)
    )
    first, second, *rest = (json.loads(line) for line in Path(path).read_text("utf-8").splitlines())
    assert (first, second) == ({"idx": 0, "label": "Zoë"}, {"idx": 1, "label": ""})
    assert len(rest) == count - 2


def test_what_is_no_answer_is_written_as_the_first_label(tmp_path):
    path = submit(str(tmp_path), "glue_rte", lines("glue_rte", [None, 1]))
    assert Path(path).read_text().splitlines()[1:3] == ["0\tentailment", "1\tnot_entailment"]
    path = submit(str(tmp_path), "glue_stsb", lines("glue_stsb", [7.5, -1.0, None]))
    assert Path(path).read_text().splitlines()[1:4] == ["0\t5.000", "1\t0.000", "2\t0.000"]


def test_what_is_no_submission_is_refused(tmp_path):
    some = lines("glue_rte", [0])
    with pytest.raises(UserError, match="GLUE wants 3000 predictions, there are 2999"):
        submit(str(tmp_path), "glue_rte", some[1:])
    with pytest.raises(UserError, match="two examples of the test set have one number"):
        submit(str(tmp_path), "glue_rte", [*some[1:], some[1]])
    with pytest.raises(UserError, match="squad is in neither GLUE nor SuperGLUE"):
        submit(str(tmp_path), "squad", some)
    assert not any(tmp_path.iterdir())


# What gluebenchmark.com and super.gluebenchmark.com ask for.
WANTED = {
    "glue": "AX CoLA MNLI-m MNLI-mm MRPC QNLI QQP RTE SST-2 STS-B WNLI",
    "super_glue": "AX-b AX-g BoolQ CB COPA MultiRC RTE ReCoRD WSC WiC",
}


def test_all_of_a_leaderboard_is_what_it_wants(tmp_path):
    for name, wanted in WANTED.items():
        assert sorted(FORMS[task].name for task in SUITES[name]) == wanted.split()
        assert all(task in TASKS and "test" in TASKS[task].splits for task in SUITES[name])
    folder = str(tmp_path)
    assert missing(folder, "GLUE") == [f"{name}.tsv" for name in WANTED["glue"].split()]
    for task in ("super_glue_rte", "super_glue_axg"):
        submit(folder, task, lines(task, [0, 1]))
    rest = [name for name in WANTED["super_glue"].split() if name not in ("RTE", "AX-g")]
    assert missing(folder, "SuperGLUE") == [f"{name}.jsonl" for name in rest]
