"""`t2t eval` and `t2t compare` as a user meets them."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from t2t.cli import main
from tests.evaluation.saved_run import TASK, save_run, write_task

T2T = str(pathlib.Path(sys.executable).with_name("t2t"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two checkpoints, the first with the lower loss, and a task."""
    folder = tmp_path_factory.mktemp("eval")
    save_run(folder, steps=(4, 8), metrics=(1.0, 2.0))
    write_task(folder)
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def table(out: str) -> list[dict[str, str]]:
    header, *lines = (line.split() for line in out.splitlines())
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_all_checkpoints_are_judged_and_kept(capsys, folder):
    workdir = folder / "run"
    command = ["eval", f"--workdir={workdir}", f"--tasks={folder}/colours.toml", "--rank"]
    command += ["--steps=all", "--batch-size=8", "--resamples=50"]
    code, out, err = run(capsys, *command)
    assert code == 0, err
    rows = table(out)
    assert [(row["task"], row["step"], row["metric"]) for row in rows] == [
        ("colours.rank", step, metric)
        for step in ("4", "8")
        for metric in ("accuracy", "mean_3class_f1")
    ]
    assert "examples/s" in err and "colours.rank at step 8: accuracy" in err
    kept = workdir / "predictions"
    for row in rows:
        scores = json.loads((kept / f"colours.rank/{row['step']}.json").read_text())
        assert row["hash"] == scores["identity"] and row["invalid"] == "0"
        assert float(row["low"]) <= float(row["score"]) <= float(row["high"])
        lines = (kept / f"colours.rank/{row['step']}.jsonl").read_text().splitlines()
        assert {"input", "target", "prediction", "scores"} <= set(json.loads(lines[0]))
        right = [json.loads(line)["value"] == json.loads(line)["truth"] for line in lines]
        assert scores["scores"]["accuracy"] == 100 * sum(right) / 20
    with open(kept / "scores.csv", newline="") as file:
        assert [list(row.values()) for row in csv.DictReader(file)] == [
            list(row.values()) for row in rows
        ]
    assert len(json.loads((kept / "scores.json").read_text())["results"]) == 2
    # Again: nothing is decoded, the same table.
    code, again, err = run(capsys, *command)
    assert (code, again) == (0, out) and err.count("already judged") == 2
    # One task more: the files keep what was judged before.
    write_task(folder, text=TASK.replace('"colours"', '"more"'))
    (folder / "colours.toml").rename(folder / "more.toml")
    write_task(folder)
    code, out, err = run(
        capsys, "eval", f"--workdir={workdir}", f"--tasks={folder}/more.toml", "--rank",
        "--steps=best", "--resamples=0",
    )  # fmt: skip
    assert code == 0, err
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["more.rank", "4", "accuracy"],
        ["more.rank", "4", "mean_3class_f1"],
    ]
    names = [one["name"] for one in json.loads((kept / "scores.json").read_text())["results"]]
    assert names == ["colours.rank", "colours.rank", "more.rank"]


def test_two_checkpoints_compare(capsys, folder):
    workdir = folder / "run"
    arguments = [f"--workdir={workdir}", f"--tasks={folder}/colours.toml", "--rank", "--steps=all"]
    assert run(capsys, "eval", *arguments, "--limit=12", "--resamples=10")[0] == 0
    code, out, err = run(
        capsys, "compare", f"{workdir}@4", f"{workdir}@8", "--tasks=colours.limit_12.rank",
        "--resamples=200", f"--output={folder}/compared.json",
    )  # fmt: skip
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[2] == ["task", "metric", "first", "second", "difference", "p", "examples"]
    assert [line[:2] for line in lines[3:5]] == [
        ["colours.limit_12.rank", "accuracy"],
        ["colours.limit_12.rank", "mean_3class_f1"],
    ]
    content = json.loads((folder / "compared.json").read_text())
    found = content["tasks"]["colours.limit_12.rank"]
    assert found["examples"] == 12
    for step, side in ((4, "first"), (8, "second")):
        kept = json.loads((workdir / f"predictions/colours.limit_12.rank/{step}.json").read_text())
        assert found["scores"]["accuracy"][side] == kept["scores"]["accuracy"]
    assert 0 < found["scores"]["accuracy"]["p_value"] <= 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--tasks=glue_sst"], "glue_sst: no such task (did you mean 'glue_sst2'?)"),
        (["--tasks=,"], "--tasks: names no task"),
        (["--tasks={task},{task}"], "names colours twice"),
        (["--tasks=no/such.toml"], "no/such.toml: no such file"),
        (["--tasks={task}", "--steps=9"], "has no step 9; it has 4, 8"),
        (["--tasks={task}", "--steps=newest"], "write latest, best, all, or steps"),
        (["--tasks={task}", "--split=tets"], "colours: has no split 'tets'"),
        (["--tasks={task}", "--share=3/2"], "--share=3/2: write it as I/N"),
        (["--tasks={task}", "--submission=x"], "--submission: colours is in neither"),
        (["--tasks=glue_rte", "--submission=x"], "leaderboards take the test split"),
        (
            ["--tasks=glue_rte", "--submission=x", "--split=test", "--steps=all"],
            "leaderboards take one checkpoint",
        ),
        (["--tasks=glue_rte", "--submission=x", "--split=test", "--limit=2"], "leave out --limit"),
        (["--tasks=glue_ax", "--submission=x", "--share=1/2"], "written from all shares"),
        (
            ["--tasks=glue_wnli,glue_wnli_simple", "--submission=x", "--split=test"],
            "two of the tasks are GLUE's WNLI",
        ),
        (["--tasks={task}", "--rank", "--beams=2"], "eval.beams: is of writing answers"),
        (["--tasks={task}", "--rank", "--targets-length=2"], "eval.targets_length: is of"),
        (["--tasks={task}", "--seed=2"], "eval.seed: draws the shots"),
        (["--tasks={task}", "--beams=2000"], "colours.beams: must be in 1..1024, got 2000"),
        (["--tasks={task}", "--beams=1000"], "beams=1000: the model has 384 tokens"),
        (["--tasks=glue_rte", "--data=no/such"], "glue_rte"),
        (["--tasks={task}", "--limit=-1"], "--limit"),
        (["--tasks={task}", "--batchsize=1"], "--batch-size"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(capsys, folder, arguments, named):
    given = [argument.format(task=folder / "colours.toml") for argument in arguments]
    code, out, err = run(capsys, "eval", f"--workdir={folder}/run", *given)
    assert (code, out) == (2, "") and err.count("\n") == 1 and err.startswith("t2t: ")
    assert named in err


def test_other_refusals(capsys, folder, tmp_path):
    def refused(*arguments) -> str:
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "") and err.count("\n") == 1
        return err

    task = f"--tasks={folder}/colours.toml"
    assert "holds no run" in refused("eval", f"--workdir={tmp_path}", task)
    assert "compare takes two runs, got 1" in refused("compare", folder / "run")
    assert "no task was judged in both" in refused("compare", tmp_path, folder / "run")
    save_run(tmp_path)
    workdir = f"--workdir={tmp_path}/run"
    assert "does not say by which metric" in refused("eval", workdir, task, "--steps=best")
    broken = tmp_path / "broken.toml"
    broken.write_text('name = "x"\ninput = "{a}"\ntarget = "{b"\nvalidation = "x.csv"\n')
    assert f"{broken}:3: target:" in refused("eval", workdir, f"--tasks={broken}")


def test_published_weights_are_judged_too(capsys, folder, tmp_path):
    """A run's checkpoint, converted to Hugging Face's layout, scores as the run does."""
    published = tmp_path / "published"
    arguments = [f"--tasks={folder}/colours.toml", "--rank", "--limit=10", "--resamples=0"]
    code, _, err = run(capsys, "convert", folder / "run", published, "--step=8", "--to=huggingface")
    assert code == 0, err
    code, out, err = run(capsys, "eval", f"--workdir={published}", *arguments)
    assert code == 0, err
    assert run(capsys, "eval", f"--workdir={folder}/run", "--steps=8", *arguments)[0] == 0
    kept = [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in (
            published / "predictions/colours.limit_10.rank/0.jsonl",
            folder / "run/predictions/colours.limit_10.rank/8.jsonl",
        )
    ]
    for a, b in zip(*kept, strict=True):
        assert a["prediction"] == b["prediction"]
        assert a["scores"]["log_probability"] == pytest.approx(b["scores"]["log_probability"])
    assert "published weights, which are step 0" in run(
        capsys, "eval", f"--workdir={published}", *arguments, "--steps=8"
    )[2]  # fmt: skip


def test_a_changed_vocabulary_is_refused(capsys, folder, tmp_path):
    workdir = save_run(tmp_path)
    manifest = json.loads((workdir / "config.json").read_text())
    manifest["config"]["tokenizer"]["extra_ids"] = 100
    (workdir / "config.json").write_text(json.dumps(manifest))
    code, out, err = run(
        capsys, "eval", f"--workdir={workdir}", f"--tasks={folder}/colours.toml", "--limit=2"
    )
    assert code == 2 and "the vocabulary is no longer the one that step 8 was trained with" in err


# --- Whole processes ------------------------------------------------------------------------------


def start(workdir, task, *more) -> subprocess.Popen:
    return subprocess.Popen(
        [T2T, "eval", f"--workdir={workdir}", f"--tasks={task}", "--batch-size=8", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "XLA_FLAGS": ""},
    )


def parts(workdir) -> dict[pathlib.Path, int]:
    return {p: p.stat().st_mtime_ns for p in workdir.glob("predictions/colours/*.parts-*/*.jsonl")}


def stopped_after(process, workdir, batches: int, number: signal.Signals) -> tuple[int, str]:
    """Sends a signal as soon as `batches` are kept; returns (exit code, what it said)."""
    while len(parts(workdir)) < batches:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        time.sleep(0.002)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


@pytest.mark.slow
def test_killed_three_times_it_decodes_nothing_twice(tmp_path):
    workdir = save_run(tmp_path)
    task = write_task(tmp_path, 320)
    draws = "--resamples=20"
    kept: dict[pathlib.Path, int] = {}
    for batches in (3, 10, 20):
        code, said = stopped_after(start(workdir, task, draws), workdir, batches, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        now = parts(workdir)
        assert batches <= len(now) < 40
        assert kept.items() <= now.items()  # what was there is there, as it was written
        kept = now
        indices = [json.loads(x)["index"] for p in now for x in p.read_text().splitlines()]
        assert len(indices) == len(set(indices))
    last = start(workdir, task, draws)
    out, said = last.communicate(timeout=300)
    assert last.returncode == 0, said
    assert f"going on after {len(indices)} of 320 examples" in said
    assert parts(workdir) == {}
    found = (workdir / "predictions/colours/8.jsonl").read_text()
    assert [json.loads(line)["index"] for line in found.splitlines()] == list(range(320))
    (tmp_path / "whole").mkdir()
    whole = start(save_run(tmp_path / "whole"), task, draws)
    whole_out, said = whole.communicate(timeout=300)
    assert whole.returncode == 0, said
    assert out == whole_out
    for line, other in zip(
        found.splitlines(),
        (tmp_path / "whole/run/predictions/colours/8.jsonl").read_text().splitlines(),
        strict=True,
    ):  # batches are others after a kill, and so are the last bits of sums in them
        (line, a), (other, b) = ((x, x.pop("scores")) for x in map(json.loads, (line, other)))
        assert line == other
        assert a["log_probability"] == pytest.approx(b["log_probability"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_keeps_what_is_done(tmp_path, number):
    workdir = save_run(tmp_path)
    task = write_task(tmp_path, 320)
    code, said = stopped_after(start(workdir, task), workdir, 3, number)
    assert code == 0 and "Traceback" not in said, said
    assert f"{number.name}: what is decoded is kept" in said
    assert len(parts(workdir)) >= 3


@pytest.mark.slow
def test_three_processes_share_a_task(tmp_path):
    workdir = save_run(tmp_path)
    task = write_task(tmp_path, 50)
    together = [start(workdir, task, f"--share={i}/3") for i in (1, 2, 3)]
    for process in together:
        out, said = process.communicate(timeout=300)
        assert (process.returncode, out) == (0, ""), said
        assert "is decoded; when all are" in said
    last = start(workdir, task)
    out, said = last.communicate(timeout=300)
    assert last.returncode == 0 and "going on after 50 of 50 examples" in said, said
    lines = (workdir / "predictions/colours/8.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(50))


@pytest.mark.slow
def test_it_follows_a_run_to_its_last_step(tmp_path):
    """Checkpoints appear while it waits; it ends with the last step of the configuration, 12."""
    workdir = save_run(tmp_path, steps=(4,))
    process = start(workdir, write_task(tmp_path, 8), "--follow", "--rank", "--resamples=9")
    deadline = time.monotonic() + 240
    while not (workdir / "predictions/colours.rank/4.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    save_run(tmp_path, steps=(8, 12))
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert [row["step"] for row in table(out)] == ["4", "4", "8", "8", "12", "12"]
