"""Run directories as they are found: whole, killed, damaged, empty, in an object store."""

import json
import os

import pytest

from t2t.errors import UserError
from t2t.monitoring.report.page import page
from t2t.monitoring.report.record import read_runs
from t2t.monitoring.report.write import write_report
from tests.html_tree import parsed
from tests.monitoring.report.run_folder import (
    eval_row,
    line,
    train_row,
    write_predictions,
    write_run,
)


def read(directory: str):
    (run,) = read_runs([directory], 12)
    return run


def losses(run, split: str = "train") -> list:
    steps, values = run.curves[split, "loss"]
    return list(zip(steps.tolist(), values.tolist(), strict=True))


def test_a_killed_run_shows_what_it_did(tmp_path):
    rows = [train_row(step, 3.0 - step) for step in (1, 2)]
    run = read(write_run(tmp_path / "run", rows, tail='{"step": 3, "split": "tra'))
    assert losses(run) == [(1, 2.0), (2, 1.0)]
    assert run.notes == ("metrics: 1 damaged line skipped (3)",)
    assert (run.steps, run.planned) == (2, 100)
    root = parsed(page([run], "now"))
    assert root.one("h1").text == "run step 2 of 100"
    assert "1 damaged line skipped" in root.one("ul", "notes").text


def test_damaged_lines_are_counted_and_the_rest_is_drawn(tmp_path):
    folder = tmp_path / "run"
    write_run(folder, [train_row(1, 2.0)], tail="\x00\x00\n[1]\n{\n")
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'\xff\xfe\n{"split": "train"}\n{"step": "x", "split": "train"}\n')
        file.write(json.dumps(train_row(2, 1.5)).encode() + b"\n")
    run = read(str(folder))
    assert losses(run) == [(1, 2.0), (2, 1.5)]
    assert run.notes == ("metrics: 6 damaged lines skipped (2, 3, 4, 5, 6, 7)",)


def test_numbers_written_as_text_are_numbers_and_other_text_is_not(tmp_path):
    rows = [train_row(1, "nan"), train_row(2, "-inf"), train_row(3, 1.0, note="x", flag=True)]
    run = read(write_run(tmp_path / "run", rows))
    assert [str(value) for _, value in losses(run)] == ["nan", "-inf", "1.0"]
    assert {metric for _, metric in run.curves} == {"loss", "step_seconds"}


def test_rows_out_of_order_are_put_in_order_and_the_later_of_two_counts(tmp_path):
    run = read(
        write_run(tmp_path / "run", [train_row(2, 2.0), train_row(1, 1.0), train_row(2, 9.0)])
    )
    assert losses(run) == [(1, 1.0), (2, 9.0)]


@pytest.mark.parametrize("content", ["{", "[]", '{"config": 5}', ""])
def test_a_damaged_config_is_said_and_the_curves_are_drawn(tmp_path, content):
    folder = tmp_path / "run"
    directory = write_run(folder, [train_row(1, 2.0)])
    (folder / "config.json").write_text(content)
    run = read(directory)
    assert run.notes == ("config.json is damaged: no configuration to show",)
    assert parsed(page([run], "now")).all("figure")


def test_damaged_predictions_are_said_and_the_rest_is_shown(tmp_path):
    directory = write_run(tmp_path / "run", [train_row(1, 2.0)])
    write_predictions(directory, "task", 5, {"bleu": 2.0}, [line(0, "a"), line(1, "b")])
    folder = tmp_path / "run" / "predictions"
    (folder / "task" / "6.json").write_text("{")
    (folder / "task" / "7.jsonl").write_text(json.dumps(line(0, "c")) + '\n{"cut\n')
    (folder / "task" / "8.parts-abc").mkdir()
    (folder / "scores.json").write_text("[")
    run = read(directory)
    assert run.notes == (
        "predictions/task/6.json: damaged, skipped",
        "predictions/task/7.jsonl: 1 of 2 lines damaged",
    )
    (task,) = run.tasks
    assert [result["step"] for result in task.results] == [5]
    assert [one["prediction"] for one in task.lines] == ["c"]
    assert parsed(page([run], "now")).all("table", "scores")


def test_a_run_of_predictions_or_of_a_configuration_alone_is_a_run(tmp_path):
    for name in ("predictions", "config.json"):
        directory = write_run(tmp_path / name, [])
        write_predictions(directory, "task", 1, {"bleu": 1.0}, [line(0, "a")])
        os.remove(tmp_path / name / "metrics.jsonl")
        other = "config.json" if name == "predictions" else "predictions/task/1.json"
        os.remove(tmp_path / name / other)
        assert parsed(page([read(directory)], "now")).one("h1").text == f"{name} no rows"


def test_what_is_no_run_is_refused_with_its_name(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, words in (
        ("empty", "is empty"),
        ("other", "holds no run"),
        ("file", "is a file"),
        ("emty", "no such directory (did you mean 'empty'?)"),
        ("no/such", "no such directory"),
    ):
        with pytest.raises(UserError) as caught:
            read_runs([str(tmp_path / name)], 12)
        assert str(caught.value).startswith(f"{tmp_path / name}: ") and words in str(caught.value)
    with pytest.raises(UserError, match="no such kind of storage"):
        read_runs(["nowhere://bucket/run"], 12)


def test_runs_have_names_of_their_own(tmp_path):
    rows = [train_row(1, 2.0)]
    one, two, three = (write_run(tmp_path / n, rows) for n in ("a/run", "b/run", "b/last"))
    assert [run.name for run in read_runs([one + "/", two, three], 1)] == [one, two, "last"]
    with pytest.raises(UserError, match="given twice"):
        read_runs([one, two, one + "/"], 1)


def test_averages_come_from_what_eval_wrote(tmp_path):
    directory = write_run(tmp_path / "run", [train_row(1, 2.0)])
    write_predictions(directory, "glue_sst2", 5, {"accuracy": 90.0}, [line(0, "a")])
    averages = [
        {"suite": "GLUE", "step": step, "variant": variant, "average": average}
        for step, variant, average in ((4, "", 80.0), (5, "", 81.25), (5, "beams=1", 79.0))
    ]
    scores = {"results": [], "averages": [*averages, {"suite": "GLUE"}, 3]}
    (tmp_path / "run" / "predictions" / "scores.json").write_text(json.dumps(scores))
    rows = parsed(page([read(directory)], "now")).one("table", "scores").all("tr")
    assert [[cell.text for cell in row.children] for row in rows[-2:]] == [
        ["GLUE", "average", "81.25step 5"],
        ["GLUE.beams=1", "average", "79.00step 5"],
    ]


def test_a_run_in_an_object_store(s3, tmp_path):
    directory = write_run(tmp_path / "run", [train_row(1, 2.0), eval_row(1, 3.0)])
    write_predictions(directory, "task", 1, {"bleu": 1.0}, [line(0, "a")])
    s3.create_bucket(Bucket="runs")
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            key = f"x/run/{os.path.relpath(path, directory)}"
            key = key.replace("metrics.jsonl", "metrics.part-00000.jsonl")
            s3.upload_file(path, "runs", key)
    s3.put_object(Bucket="runs", Key="x/run/checkpoints/40/state/_METADATA", Body=b"{}")
    (run,) = write_report(["s3://runs/x/run"], "s3://runs/x/run/report.html")
    assert losses(run) == [(1, 2.0)] and run.checkpoints == (40,) and run.notes == ()
    assert [task.name for task in run.tasks] == ["task"] and run.tasks[0].lines
    written = s3.get_object(Bucket="runs", Key="x/run/report.html")["Body"].read().decode()
    assert parsed(written).one("h1").text == "run step 1 of 100"
    with pytest.raises(UserError, match="s3://runs/nothing: is empty"):
        write_report(["s3://runs/nothing"], str(tmp_path / "x.html"))


def test_published_weights_are_no_run_until_they_have_been_judged(tmp_path, capsys):
    from t2t.cli import main

    folder = tmp_path / "hf"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    assert main(["report", str(folder)]) == 2
    line = capsys.readouterr().err
    assert f"{folder}: holds published weights, no run" in line and line.count("\n") == 1
    assert os.listdir(folder) == ["config.json"]
    (folder / "predictions").mkdir()
    run = read(str(folder))
    assert (
        "config.json is that of published weights: no configuration of a run to show" in run.notes
    )
