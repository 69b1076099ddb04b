"""Results as tables: rows, averages, and the three files."""

import csv
import json

from t2t.evaluation import tables
from t2t.evaluation.averages import SUPER_GLUE
from t2t.tasks.catalog import TASKS


def result(task, scores, step=10, **changes):
    return {
        "task": task, "name": task, "split": "validation", "variant": "", "step": step,
        "examples": 4, "invalid": 1, "identity": "abc", "scores": scores,
        "intervals": {name: [1.0, 2.0] for name in scores}, **changes,
    }  # fmt: skip


def suite(step=10, **changes) -> list[dict]:
    return [
        result(task, {"accuracy": 50.0, "f1": 50.0, "em": 50.0, "exact_match": 50.0,
                      "mean_3class_f1": 80.0}, step, **changes)
        for task in {task: 0 for parts in SUPER_GLUE for task, _ in parts}
    ]  # fmt: skip


def test_a_row_a_score():
    found = tables.rows([result("a", {"x": 1.234, "y": None}), result("b", {}, step=12)])
    assert found == [
        ("a", "10", "x", "1.23", "1.00", "2.00", "4", "1", "abc"),
        ("a", "10", "y", "", "1.00", "2.00", "4", "1", "abc"),
        ("b", "12", "(no labels)", "", "", "", "4", "1", "abc"),
    ]


def test_averages_of_whole_suites_at_each_step():
    found = tables.suite_averages([*suite(10), *suite(20)[1:]])
    # CB: the mean of 80 and 50; the seven others 50.
    assert found == [
        {"suite": "SuperGLUE", "step": 10, "variant": "", "average": (7 * 50 + 65) / 8}
    ]
    assert tables.rows(suite(10))[-1][:4] == ("SuperGLUE", "10", "average", "51.88")


def test_no_average_of_a_quick_look_or_of_another_split():
    assert tables.suite_averages(suite(variant="limit_10")) == []
    assert tables.suite_averages(suite(split="train")) == []
    assert tables.suite_averages(suite(variant="rank"))[0]["variant"] == "rank"
    assert tables.rows(suite(variant="rank"))[-1][0] == "SuperGLUE.rank"
    assert all(TASKS[task].judged == "validation" for parts in SUPER_GLUE for task, _ in parts)


def test_the_files_hold_the_same_rows(tmp_path):
    tables.write(str(tmp_path), suite())
    rows = [tables.HEADER, *tables.rows(suite())]
    with open(tmp_path / "predictions/scores.csv", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == rows
    lines = (tmp_path / "predictions/scores.md").read_text().splitlines()
    assert [
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]
    ] == rows[1:]
    content = json.loads((tmp_path / "predictions/scores.json").read_text())
    assert content["results"] == suite() and content["averages"] == tables.suite_averages(suite())


def test_the_screen_is_aligned():
    lines = tables.screen(("a", "bb"), [("long cell", "1"), ("x", "")])
    assert lines == ["a          bb", "long cell  1", "x"]
