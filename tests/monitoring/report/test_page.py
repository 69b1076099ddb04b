"""The whole report, read back as a browser would."""

import base64
import hashlib
import json
import pathlib
import re

import numpy as np
import pytest

from t2t.monitoring.goodput import Goodput
from t2t.monitoring.report.page import page
from t2t.monitoring.report.record import read_runs
from tests.html_tree import Node, parsed
from tests.monitoring.report.run_folder import (
    config,
    eval_row,
    line,
    train_row,
    write_predictions,
    write_run,
)

EVIL = "</script></style><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&amp;"


def text_of(*directories: str, examples: int = 12) -> str:
    return page(read_runs(directories, examples), "2026-11-25 02:00 UTC")


def report(*directories: str, examples: int = 12) -> Node:
    return parsed(text_of(*directories, examples=examples))


def figure(root: Node, title: str) -> Node:
    (found,) = (f for f in root.all("figure") if f.one("h3").text.startswith(title))
    return found


def curves(figure: Node) -> dict[str, tuple[list[int], list[float]]]:
    """{legend: (steps, values)} of a chart."""
    return {
        item.all("span")[0].text: (
            [int(step) for step in item.attributes["data-steps"].split()],
            [float(value) for value in item.attributes["data-values"].split()],
        )
        for item in figure.all("li")
    }


def tiles(root: Node) -> dict[str, str]:
    tiles = root.one("dl", "tiles").all("div")
    return {tile.one("dt").text: tile.one("dd").text for tile in tiles}


@pytest.fixture
def run(tmp_path) -> str:
    rows = [eval_row(0, 6.0)]
    for step in range(10, 110, 10):
        rows.append(
            train_row(step, 5.0 - step / 50, data_wait_seconds=0.05, tokens_per_second=1000.0)
        )
    rows += [eval_row(50, 4.25), eval_row(100, 4.5)]
    return write_run(tmp_path / "run", rows)


def test_curves_hold_exactly_the_rows_written(run):
    found = curves(figure(report(run), "Loss"))
    assert found["train"][0] == list(range(10, 110, 10))
    np.testing.assert_allclose(found["train"][1], [5.0 - s / 50 for s in range(10, 110, 10)])
    assert found["held_out"] == ([0, 50, 100], [6.0, 4.25, 4.5])
    time = curves(figure(report(run), "Time a step"))
    assert set(time) == {"whole step", "waiting for data"}
    assert time["waiting for data"][1] == [0.05] * 10


def test_the_overview_sums_up_a_finished_run(run):
    root = report(run)
    assert root.one("h1").text == "run finished"
    found = tiles(root)
    assert found["training loss"].startswith("3.000")
    assert found["held_out loss"] == "4.500best 4.250 at step 50"
    assert found["tokens a second"].startswith("1,000")
    assert found["time in steps"].startswith("0:50") and found["waiting for data"].startswith(
        "10.0%"
    )
    assert found["parameters"] == "768768"


def test_goodput_is_told_in_one_line_and_where_the_rest_of_the_time_went(run):
    assert "goodput" not in tiles(report(run))
    clock = iter((120.0, 120.0, 130.0, 140.0, 220.0)).__next__
    before = {"restoring": 5.0, "compiling": 10.0}
    goodput = Goodput(run, 40, 100.0, before=before, clock=clock)
    with goodput.during("evaluating"):
        pass
    goodput.saved(100, 90.0)
    root = report(run)
    assert tiles(root)["goodput"] == "75.0%of 2:00, 1 start"
    assert root.one("p", "spent").text == (
        "goodput 75.0% of 120 s in 1 start (starting 4.2%, restoring 4.2%, compiling 8.3%, "
        "evaluating 8.3%)"
    )
    # Records of before what took how long was noted, and such as cannot be read.
    (old,) = (pathlib.Path(run) / "goodput").iterdir()
    kept = {k: v for k, v in json.loads(old.read_text()).items() if not k.endswith("ing")}
    old.write_text(json.dumps(kept))
    old.with_name("00001.json").write_text('{"began": 1}')
    assert "(starting 16.7%, other 8.3%)" in report(run).one("p", "spent").text


def test_configuration_parameters_hardware_and_versions_are_tables(run):
    root = report(run)
    rows = {
        r.one("th").text: r.one("td").text
        for t in root.all("table", "settings")
        for r in t.all("tr")
    }
    assert rows["model"] == "Architecture" and rows["model.d_model"] == "8"
    assert rows["training.steps"] == "100"
    assert rows["device"] == "TPU v5 lite" and rows["jax"] == "0.10.2"
    table = root.one("table", "parameters")
    cells = [[c.text for c in r.children] for r in table.all("tr")]
    assert cells[1] == [
        "encoder/layers/wi/kernel",
        "2x8x16",
        "-,embed,mlp",
        "(None, 'fsdp')",
        "256",
        "1,024",
    ]
    assert cells[-1] == ["total", "", "768", "3,072"]
    widths = [bar.attributes["style"] for bar in table.all("i", "share")]
    assert widths == ["width:33.3%", "width:66.7%"]


def test_task_scores_have_a_table_and_curves_with_intervals(run):
    for step, score in ((50, 70.0), (100, 75.0)):
        write_predictions(run, "glue_sst2", step, {"accuracy": score}, [line(0, "a b c")])
    write_predictions(run, "imdb.test", 100, {"perplexity": 9.5}, [line(0, "x")])
    root = report(run)
    assert curves(figure(root, "glue_sst2")) == {"accuracy": ([50, 100], [70.0, 75.0])}
    assert figure(root, "glue_sst2").all("path", "band")
    rows = [[c.text for c in r.children] for r in root.one("table", "scores").all("tr")]
    assert rows[1] == ["glue_sst2", "accuracy", "75.00 [74.00, 76.00]step 100, 1 examples"]
    assert rows[2][0] == "imdb.test" and "9.50 [8.50, 10.50]" in rows[2][2]
    titles = [f.one("h3").text for f in root.all("figure")]
    assert "imdb.testperplexity" not in titles, "one step is no curve"


def test_samples_are_spread_over_the_file_and_mark_what_differs(run):
    lines = [line(i, "a x c") for i in range(100)]
    write_predictions(run, "task", 100, {"bleu": 1.0}, lines)
    found = report(run, examples=5).all("dl", "sample")
    assert [one.all("dd")[0].text for one in found] == [f"input {i}" for i in (0, 24, 49, 74, 99)]
    assert found[0].all("dd")[2].text == "a x c"
    assert [m.text for m in found[0].all("mark")] == ["x"]


def test_answers_of_tasks_with_choices_are_right_wrong_or_invalid(run):
    lines = [
        line(i, "yes", truth=1, value=value, classes=2) for i, value in enumerate((1, 0, None))
    ]
    write_predictions(run, "task", 100, {"accuracy": 33.3}, lines)
    samples = report(run).all("dl", "sample")
    assert [s.one("span", "badge").text for s in samples] == ["right", "wrong", "invalid"]


def test_nothing_is_fetched_and_no_foreign_script_can_run(run):
    write_predictions(run, "task", 100, {"bleu": 1.0}, [line(0, "https://example.org/x.js")])
    text = text_of(run)
    root = parsed(text)
    for node in root.all():
        assert not {"src", "srcset", "action", "data", "xlink:href"} & set(node.attributes)
        assert not any(name.startswith("on") for name in node.attributes)
        assert node.attributes.get("href", "#").startswith("#")
        assert node.tag not in ("link", "iframe", "object", "embed", "base", "form")
    style, script = root.one("style").text, root.one("script").text
    for written in (style, script):
        assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|WebSocket|import\(", written)
    (policy,) = (
        m.attributes["content"]
        for m in root.all("meta")
        if m.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script>")


def test_no_text_breaks_out(tmp_path):
    folder = tmp_path / "run<b>&"
    settings = config(**{EVIL: EVIL})
    rows = [train_row(1, 2.0, **{EVIL: 1.0}), {"step": 1, "split": f"eval/{EVIL}", "loss": 1.0}]
    run = write_run(folder, rows, settings)
    (folder / "model.txt").write_text(
        f"a  b  c  d  count  bytes\n{EVIL}  1  -  ()  5  6\ntotal  5  6\n"
    )
    (folder / "closing.txt").write_text(f"  model: one [{EVIL}] two\n{EVIL}")
    evil = line(0, EVIL, input=EVIL, target=EVIL, truth=EVIL, id=EVIL)
    for step in (1, 2):
        write_predictions(run, "task<i>", step, {EVIL: 3.0}, [evil])
    root = report(run)
    assert len(root.all("script")) == 1 and len(root.all("style")) == 1
    assert not root.all("img") and not root.all("b", "x")
    assert root.one("h1").text.startswith("run<b>&")
    sample = root.one("dl", "sample")
    assert [dd.text for dd in sample.all("dd")] == [EVIL] * 3
    assert any(EVIL in figure.text for figure in root.all("figure"))
    assert any(th.text == f"training.{EVIL}" for th in root.all("th"))


def test_lone_surrogates_and_other_scripts_survive(run):
    write_predictions(run, "task", 100, {"bleu": 1.0}, [line(0, "\ud800 שלום")])
    text = text_of(run)
    assert "שלום" in text and text.encode(errors="replace")
    assert all(dd.attributes["dir"] == "auto" for dd in report(run).one("dl", "sample").all("dd"))


def test_what_training_said_of_the_model_is_shown_with_its_blanks(run, tmp_path):
    (tmp_path / "run" / "closing.txt").write_text(
        "eval/held_out: loss 1.0\n  model: it [is] here\n  truth: it [was] here"
    )
    blanks = report(run).all("p", "blank")
    assert [b.one("span").text for b in blanks] == ["it is here", "it was here"]
    assert [b.one("mark").text for b in blanks] == ["is", "was"]


def test_runs_are_laid_over_each_other(tmp_path):
    runs = [
        write_run(
            tmp_path / name,
            [train_row(s, loss + s) for s in (1, 2)] + [eval_row(2, loss)],
            settings,
        )
        for name, loss, settings in (("one", 3.0, config()), ("two", 4.0, config(seed=7)))
    ]
    for run, score in zip(runs, (60.0, 61.0), strict=True):
        for step in (1, 2):
            write_predictions(run, "task", step, {"bleu": score + step}, [line(0, run[-3:])])
    root = report(*runs)
    assert curves(figure(root, "Loss")) == {
        "one · train": ([1, 2], [4.0, 5.0]),
        "one · held_out": ([2], [3.0]),
        "two · train": ([1, 2], [5.0, 6.0]),
        "two · held_out": ([2], [4.0]),
    }
    assert curves(figure(root, "task")) == {"one": ([1, 2], [61, 62]), "two": ([1, 2], [62, 63])}
    lines = root.one("table", "runs").all("tr")
    assert [r.children[0].text for r in lines] == ["run", "one step 2 of 100", "two step 2 of 100"]
    differing = {r.one("th").text: [c.text for c in r.all("td")] for r in root.all("tr", "differs")}
    assert differing == {"training.seed": ["0", "7"]}
    sample = root.one("dl", "sample")
    assert [d.text for d in sample.all("dt")] == ["input", "target", "one", "two"]
    assert ".run-1{display:none!important}" in root.one("style").text
    assert {i.attributes.get("id") for i in root.all("input")} >= {"show-0", "show-1"}


def test_a_long_run_and_many_tasks_stay_under_a_megabyte(tmp_path):
    generator = np.random.default_rng(0)
    metrics = ("z_loss", "accuracy", "grad_norm", "update_norm", "param_norm", "learning_rate",
               "tokens_per_second", "data_wait_seconds", "mfu")  # fmt: skip
    runs = []
    for name in "abc":
        rows = [
            train_row(s, float(v[0]), **dict(zip(metrics, map(float, v[1:]), strict=True)))
            for s, v in enumerate(generator.lognormal(size=(4000, 10)), 1)
        ]
        runs.append(write_run(tmp_path / name, rows))
        for task in range(20):
            lines = [line(i, "word " * 1000, input="long " * 1000) for i in range(40)]
            write_predictions(runs[-1], f"task_{task}", 100, {"bleu": 1.0}, lines)
    one, three = (text_of(*of).encode() for of in (runs[:1], runs))
    assert len(one) < 1_000_000 and len(three) < 1_000_000
    found = curves(figure(parsed(one.decode()), "Gradient norm"))["train"][1]
    values = [json.loads(x)["grad_norm"] for x in (tmp_path / "a" / "metrics.jsonl").open()]
    assert max(found) == pytest.approx(max(values), rel=1e-5)
    assert min(found) == pytest.approx(min(values), rel=1e-5)
