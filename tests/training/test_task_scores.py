"""Tasks judged while training: rows, predictions, the best checkpoint, early stopping, refusals."""

import json
import pathlib
import re

import pytest

from t2t.cli import main
from tests.tiny_task import NUMBERS, write_task

RECIPE = pathlib.Path(__file__).parent.parent / "tiny_task.py"


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Sums by a metric that counts what is written, so that a model that learns scores otherwise."""
    path = write_task(tmp_path_factory.mktemp("task"))
    own = path.with_name("own.py")
    own.write_text(
        "def length(targets, predictions):\n"
        "    return {'length': sum(map(len, predictions)) / len(predictions)}\n"
    )
    metrics = f"metrics = ['sequence_accuracy', 'edit_distance', '{own}:length']\n"
    path.write_text(path.read_text() + "targets_length = 16\n" + metrics)
    return path


def train(task, workdir, *overrides: str) -> dict:
    """Trains; returns the rows by split and step."""
    arguments = [f"--config={RECIPE}:{task}", f"--workdir={workdir}"]
    judged = [f"--config.evaluation.tasks=('{task}',)", "--config.evaluation.judging.limit=10"]
    assert main(["train", *arguments, *judged, *overrides]) == 0
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert len({(row["split"], row["step"]) for row in rows}) == len(rows), "a row twice"
    return {(row["split"], row["step"]): row for row in rows}


BEST = (
    "--config.checkpoints.keep_best=1",
    "--config.checkpoints.keep_latest=1",
    "--config.checkpoints.best_metric=eval/sums/mean_edit",
)


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, train(task, workdir, *BEST)


def test_a_row_an_evaluation_holds_what_t2t_eval_gives(task, trained, capfd):
    workdir, rows = trained
    assert [step for split, step in rows if split == "eval/sums"] == [0, 4, 8, 12]
    last = rows["eval/sums", 12]
    assert last["examples"] == 10 and last["length"] != rows["eval/sums", 0]["length"]
    during = [json.loads(x) for x in (workdir / "predictions/sums.limit_10/12.jsonl").open()]
    arguments = [f"--workdir={workdir}", f"--tasks={task}", "--limit=10", "--resamples=0"]
    assert main(["eval", *arguments]) == 0
    after = [json.loads(x) for x in (workdir / "predictions/sums.limit_10/12.jsonl").open()]
    assert [x["prediction"] for x in during] == [x["prediction"] for x in after]
    scores = json.loads((workdir / "predictions/sums.limit_10/12.json").read_text())["scores"]
    assert {name: last[name] for name in scores} == pytest.approx(scores)
    assert "report: " in capfd.readouterr().err and (workdir / "report.html").exists()


def test_checkpoints_are_ranked_by_what_was_written(trained):
    workdir, rows = trained
    values = {s: rows["eval/sums", s]["mean_edit"] for s in (4, 8, 12)}
    best = min(values, key=lambda step: (values[step], -step))
    kept = {int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {best, 12}


def test_a_run_that_goes_on_judges_no_step_twice_and_tasks_may_come_seldom(task, trained, tmp_path):
    every = "--config.evaluation.tasks_every_steps=8"
    train(task, tmp_path, every, "--config.training.steps=8", "--config.data.evaluation=()")
    rows = train(task, tmp_path, every)
    assert [step for split, step in rows if split == "eval/sums"] == [0, 8, 12]
    assert rows["eval/sums", 12] == trained[1]["eval/sums", 12]


def test_early_stopping_waits_for_a_score(task, tmp_path, capfd):
    stopping = "EarlyStopping('eval/sums/length',mode='max',patience=1,least_gain=1000.0)"
    rows = train(task, tmp_path, f"--config.training.early_stopping={stopping}")
    assert max(step for split, step in rows if split == "train") == 4
    assert "eval/sums/length has not got better" in capfd.readouterr().err


REFUSED = [
    (("evaluation.tasks", "('glue_sst',)"), r"config\.evaluation\.tasks\[0\]: .*glue_sst2"),
    (("evaluation.tasks", "('{task}','{task}')"), r"config\.evaluation\.tasks\[1\]: .* twice"),
    (("evaluation.tasks_every_steps", "6"), "not a multiple of every_steps=4"),
    (("evaluation.judging.split", "dev"), r"config\.evaluation\.tasks\[0\]: .*dev"),
    (("evaluation.judging.beams", "-1"), r"config\.evaluation\.judging\.beams"),
    (("checkpoints.best_metric", "eval/sums/edit"), "no evaluation gives 'eval/sums/edit'"),
    (("checkpoints.best_metric", "eval/sums/sequence_accuracy"), "best_mode: .* set it to 'max'"),
]


@pytest.mark.parametrize("change, named", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(task, tmp_path, capfd, change, named):
    key, value = change[0], change[1].format(task=task)
    if "edit" in value:  # without the user's own function, which may give any score
        plain = task.with_name("plain.toml")
        plain.write_text(re.sub(r", '[^']*:length'", "", task.read_text()))
        task = plain
    given = [f"--config={RECIPE}:{task}", f"--workdir={tmp_path}"]
    judged = f"--config.evaluation.tasks=('{task}',)"
    assert main(["train", *given, judged, f"--config.{key}={value}"]) == 2
    said = capfd.readouterr().err
    assert re.search(f"^t2t: .*{named}", said, re.MULTILINE), said


def test_a_metric_that_is_not_there_or_cannot_judge_is_known_before_a_run_directory(
    tmp_path, capfd
):
    task = write_task(tmp_path)
    plain = task.read_text()
    given = [f"--config={RECIPE}:{task}", f"--workdir={tmp_path}/run"]
    choices = f"choices = {[f'{a + b}, or {one} more than {two}' for a, one in enumerate(NUMBERS) for b, two in enumerate(NUMBERS)]}\n"
    for text, said in (
        ("metrics = ['sequence_acuracy']\n", f"{task}:6: metrics[0]: no metric 'sequence_acuracy'"),
        (f"{choices}metrics = ['bleu']\n", "sums: metric bleu: this metric judges texts; the task"),
    ):
        task.write_text(plain + text)
        assert main(["train", *given, f"--config.evaluation.tasks=('{task}',)"]) == 2
        err = capfd.readouterr().err
        assert said in err and not (tmp_path / "run").exists(), err


def test_a_corpus_and_a_task_do_not_share_a_name(task, tmp_path, capfd):
    given = [f"--config={RECIPE}:{task}", f"--workdir={tmp_path}"]
    corpus = f"--config.data.evaluation=(Corpus('sums',Task('{task}')),)"
    assert main(["train", *given, corpus, f"--config.evaluation.tasks=('{task}',)"]) == 2
    assert "both would write eval/sums" in capfd.readouterr().err
