"""The report as commands write it: on its own, after training, after a kill."""

import json
import pathlib

import numpy as np
import pytest

from t2t.cli import main
from t2t.monitoring.report import write
from tests.html_tree import Node, parsed
from tests.monitoring.report.run_folder import train_row, write_run
from tests.tiny import write_text
from tests.training.test_kill import Command

RECIPE = pathlib.Path(__file__).parents[2] / "tiny.py"


def train_curve(path: pathlib.Path, metric: str = "Loss") -> tuple[list[int], list[float]]:
    root = parsed(path.read_text(encoding="utf-8"))
    (figure,) = (f for f in root.all("figure") if f.one("h3").text.startswith(metric))
    item = next(i for i in figure.all("li") if i.all("span")[0].text == "train")
    steps, values = (item.attributes[f"data-{what}"].split() for what in ("steps", "values"))
    return [int(step) for step in steps], [float(value) for value in values]


def rows(workdir: pathlib.Path) -> list[dict]:
    found = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [row for row in found if row["split"] == "train"]


def settings(root: Node) -> dict[str, str]:
    lines = (line for table in root.all("table", "settings") for line in table.all("tr"))
    return {line.one("th").text: line.one("td").text for line in lines}


def test_training_leaves_a_report_of_itself(tmp_path, capsys):
    workdir = tmp_path / "run"
    arguments = [f"--config={RECIPE}:{write_text(tmp_path)}", f"--workdir={workdir}"]
    assert main(["train", *arguments, "--config.evaluation.input_blind=true"]) == 0
    assert f"report: {workdir}/report.html" in capsys.readouterr().err
    for metric, name in (("Loss", "loss"), ("Gradient norm", "grad_norm")):
        steps, values = train_curve(workdir / "report.html", metric)
        assert steps == list(range(1, 13)) == [row["step"] for row in rows(workdir)]
        np.testing.assert_allclose(values, [row[name] for row in rows(workdir)], rtol=1e-5)
    root = parsed((workdir / "report.html").read_text(encoding="utf-8"))
    assert root.one("h1").text == "run finished"
    assert "best predictor that cannot see the input" in root.text
    shown = settings(root)
    assert shown["model.d_model"] == "32" and shown["devices"] == "8" and "jax" in shown
    assert main(["report", str(workdir)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{workdir}: goodput ") and "starting" in line and "saving" in line
    assert root.one("p", "spent").text in line
    assert root.one("table", "parameters").all("tr")[-1].one("th").text == "total"


def test_a_report_that_cannot_be_drawn_does_not_cost_the_exit_code(tmp_path, capsys, monkeypatch):
    directory = write_run(tmp_path / "run", [train_row(1, 2.0)])
    (tmp_path / "run" / "report.html").mkdir()
    write.report_at_the_end(directory)
    first = capsys.readouterr().err
    assert first.startswith("no report (") and "report.html" in first and first.count("\n") == 1

    def broken(*_):
        raise RuntimeError("a fault\nof ours")

    monkeypatch.setattr(write, "page", broken)
    write.report_at_the_end(directory)
    assert capsys.readouterr().err == (
        f"no report (a fault of ours); t2t report {directory} tries again\n"
    )


def test_the_command_writes_into_the_run_or_where_it_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = (
        write_run(tmp_path / name, [train_row(1, 2.0)], tail=tail)
        for name, tail in (("one", "{cut"), ("two", ""))
    )
    assert main(["report", one]) == 0
    out, err = capsys.readouterr()
    assert out == f"{one}/report.html\n" and "1 damaged line skipped (2)" in err
    assert main(["report", one, two]) == 0
    assert capsys.readouterr().out == "comparison.html\n"
    assert parsed((tmp_path / "comparison.html").read_text()).one("h1").text.strip() == "one / two"
    assert main(["report", two, "--output=deep/er/x.html"]) == 0
    assert train_curve(tmp_path / "deep" / "er" / "x.html") == ([1], [2.0])


@pytest.mark.slow
def test_a_run_killed_in_the_middle_is_drawn_up_to_its_last_row(tmp_path):
    write_text(tmp_path, 700_000)
    command = Command(tmp_path, devices=1)
    assert command.kill_when(command.after_step(9))
    assert main(["report", str(command.workdir)]) == 0
    steps, values = train_curve(command.workdir / "report.html")
    written = rows(command.workdir)
    assert steps == [row["step"] for row in written] and len(steps) >= 9
    np.testing.assert_allclose(values, [row["loss"] for row in written], rtol=1e-5)
    root = parsed((command.workdir / "report.html").read_text(encoding="utf-8"))
    assert root.one("h1").text == f"run step {steps[-1]} of 40"
