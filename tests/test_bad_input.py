"""Wrong configurations and arguments: one line on stderr that names the place, exit code 2."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from t2t.cli import main
from tests.tiny import write_text

RECIPE = pathlib.Path(__file__).with_name("tiny.py")

# One mutation each of a valid configuration: (field, value, what the line must name besides it).
MUTATIONS = [
    ("model.d_modle", "32", "d_model"),
    ("modle.d_model", "32", "model"),
    ("model.d_model", "0", "positive"),
    ("model.d_model", "abc", "integer"),
    ("model.d_model", "32.5", "integer"),
    ("model.d_model", "none", "integer"),
    ("model.heads", "-1", "positive"),
    ("model.vocab_size", "300", "384"),
    ("model.vocab_size", "128", "259"),
    ("model.dropout", "1.0", "[0, 1)"),
    ("model.dropout", "nan", "finite"),
    ("model.norm_epsilon", "0", "positive"),
    ("model.relative_buckets", "30", "multiple of 4"),
    ("model.relative_max_distance", "8", "exceed"),
    ("model.activation", "relo", "relu"),
    ("model.dtype", "float16", "bfloat16"),
    ("model.remat", "some", "none"),
    ("model.gated", "maybe", "true or false"),
    ("tokenizer", "Byte", "Bytes"),
    ("tokenizer.extra_ids", "-2", "negative"),
    ("data.batch_size", "0", "positive"),
    ("data.batch_size", "1e400", "integer"),
    ("data.order", "shufled", "shuffled"),
    ("data.workers", "-1", "0..256"),
    ("data.read_ahead", "0", "positive"),
    ("data.batch_ramp", "((4,2),(3,4))", "increase"),
    ("data.train.corpora[1].rate", "2", "0"),
    ("data.train.corpora[0].rate", "0", "positive"),
    ("data.train.corpora[0].documents", "(0.5,0.2)", "increasing"),
    ("data.train.corpora[0].name", "a b", "letters"),
    ("data.train.weighting", "sizes", "size"),
    ("data.train.temperature", "2.0", "temperature"),
    ("data.train.corpora[0].source.paths", "('missing.txt',)", "missing.txt"),
    ("data.train.corpora[0].source.documents", "lines", "line"),
    ("objective.noise_density", "1.5", ""),
    ("objective.noise_density", "inf", "finite"),
    ("objective.mean_noise_span_length", "0", ""),
    ("objective.inputs_length", "1", ""),
    ("optimizer", "AdamX", "AdamW"),
    ("optimizer.weight_decay", "-0.1", "negative"),
    ("optimizer.clip_global_norm", "0", "positive"),
    ("optimizer.decay_kinds", "('kernal',)", "kernel"),
    ("schedule.peak", "0", "positive"),
    ("schedule.warmup_steps", "-3", "negative"),
    ("schedule.decay_share", "1.5", "[0, 1]"),
    ("training.steps", "0", "at least 1"),
    ("training.seed", "-1", "at least 0"),
    ("training.accumulation", "3", "divide"),
    ("training.label_smoothing", "1", "[0, 1)"),
    ("evaluation.every_steps", "0", "at least 1"),
    ("checkpoints.keep_latest", "0", "at least 1"),
    ("checkpoints.keep_best", "2", "best_metric"),
    ("checkpoints.best_metric", "eval/heldout/loss", "eval/held_out/loss"),
    ("monitoring.profile", "(5,2)", "first"),
    ("monitoring.profile", "(5,50)", "steps"),
    ("mesh.tensor", "3", "heads"),
    ("mesh.fsdp", "-1", "-1"),
    ("mesh.data", "5", "batch_size"),
    ("mesh.data", "2", "devices"),
    ("mesh.expert", "2", "expert"),
]
# Where the path itself is wrong, or the value names a file, another part of it is what is named.
ELSEWHERE = {
    "modle.d_model": "config.modle",
    "data.train.corpora[1].rate": "config.data.train.corpora",
    "data.train.corpora[0].source.paths": "config.data.train.corpora[0].source",
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text"))


def refused(capsys, *arguments: str) -> str:
    """Runs a command that must be refused; returns its one line."""
    assert main(list(arguments)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    return lines[0]


def test_there_are_forty_and_each_changes_something():
    assert len({(field, value) for field, value, _ in MUTATIONS}) == len(MUTATIONS) >= 40


@pytest.mark.parametrize(("field", "value", "named"), MUTATIONS, ids=lambda value: str(value)[:40])
def test_a_wrong_field_is_named(capsys, tmp_path, text, field, value, named):
    # The line names the field, or the first part of its path that does not exist.
    place = ELSEWHERE.get(field, field.rpartition(".")[2].partition("[")[0])
    workdir = tmp_path / "run"
    line = refused(
        capsys,
        "train",
        f"--config={RECIPE}:{text}",
        f"--workdir={workdir}",
        f"--config.{field}={value}",
    )
    assert place in line, line
    assert named in line, line
    assert not workdir.exists(), "refused before anything is written"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["trian"], "train"),
        (["train"], "--config"),
        (["train", "--config=t5_1_2"], "t5_1_1"),
        (["train", "--config=t5_1_1:bose"], "base"),
        (["train", "--config=missing/recipe.py"], "missing/recipe.py"),
        (["train", "--config=quickstart", "model.d_model=3"], "model.d_model=3"),
        (["train", "--config=quickstart", "--wrokdir=x"], "--workdir"),
        (["train", "--config=quickstart", "--profile=5-7"], "--profile"),
        (["inspect", "--config=quickstart", "--step=-1"], "--step"),
        (["generate", "--workdir=nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_named(capsys, arguments, named):
    assert named in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("def get_config(arg)\n    return 1\n", ":1"),
        ("def get_config(arg=''):\n    return 1\n", "Run"),
        ("x = 1\n", "get_config"),
        ("def get_config(arg=''):\n    return 1 / 0\n", ":2"),
    ],
    ids=["syntax", "no Run", "no function", "raises"],
)
def test_a_broken_recipe_names_file_and_line(capsys, tmp_path, source, named):
    path = tmp_path / "recipe.py"
    path.write_text(source)
    line = refused(capsys, "train", f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert str(path) in line
    assert named in line


def test_a_damaged_saved_configuration_is_named(capsys, tmp_path, text):
    (tmp_path / "config.json").write_text('{"config": {"model": ')
    arguments = (f"--config={RECIPE}:{text}", f"--workdir={tmp_path}")
    assert "config.json" in refused(capsys, "train", *arguments)


def test_another_runs_directory_is_refused_with_the_difference(capsys, tmp_path, text):
    from t2t import run as runs

    runs.open_directory(runs.load(f"{RECIPE}:{text}"), str(tmp_path))
    saved = json.loads((tmp_path / "config.json").read_text())
    arguments = (f"--config={RECIPE}:{text}", f"--workdir={tmp_path}")
    line = refused(capsys, "train", *arguments, "--config.training.seed=4")
    assert "config.training.seed: 3 -> 4" in line
    assert json.loads((tmp_path / "config.json").read_text()) == saved


@pytest.mark.parametrize(
    ("content", "source", "place"),
    [
        ('{"text": "a b"}\n{"text": 7}\n', "Jsonl", ":2"),
        ('{"text": "a b"}\n{"text": \n', "Jsonl", ":2"),
        ('{"tekst": "a b"}\n', "Jsonl", "text"),
        ("", "Jsonl", "no document"),
    ],
    ids=["not text", "broken line", "wrong field", "empty corpus"],
)
def test_a_line_that_cannot_be_read_is_named(capsys, tmp_path, text, content, source, place):
    path = tmp_path / "lines.jsonl"
    path.write_text(content)
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "import dataclasses, runpy\n"
        "from t2t.data.config import Corpus, Data, Mixture\n"
        f"from t2t.data.source_config import {source}\n"
        "def get_config(arg=''):\n"
        f"    run = runpy.run_path({str(RECIPE)!r})['get_config']({str(text)!r})\n"
        f"    corpus = Corpus('lines', {source}(({str(path)!r},)))\n"
        "    data = Data(Mixture((corpus,)), batch_size=8, cache_dir=arg)\n"
        "    return dataclasses.replace(run, data=data)\n"
    )
    line = refused(capsys, "prepare", f"--config={recipe}:{tmp_path / 'cache'}")
    assert str(path) in line
    assert place in line


@pytest.mark.slow
def test_the_real_command_has_the_exit_code_and_the_line(tmp_path, text):
    command = [str(pathlib.Path(sys.executable).with_name("t2t")), "train"]
    command += [f"--config={RECIPE}:{text}", f"--workdir={tmp_path}/run"]
    for mutation, code in (("--config.model.d_modle=3", 2), ("--config.training.steps=0", 2)):
        done = subprocess.run([*command, mutation], capture_output=True, text=True)
        assert done.returncode == code
        assert done.stderr.count("\n") == 1
        assert mutation.partition("=")[0].rpartition(".")[2] in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk needs root"
)
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, text):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine refuses to mount a tmpfs")
    try:
        command = [str(pathlib.Path(sys.executable).with_name("t2t")), "train"]
        command += [f"--config={RECIPE}:{text}", f"--workdir={disk}/run"]
        command += ["--config.monitoring.progress=off", "--config.training.steps=400"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("t2t: ") and "space" in last.lower(), last
        assert "Traceback" not in done.stderr
        steps = [int(p.name) for p in (disk / "run" / "checkpoints").iterdir() if p.name.isdigit()]
        assert steps, "what was saved before stands"
        from t2t import run as runs
        from t2t.training.restored import restored

        restored(runs.load_saved(f"{disk}/run"), f"{disk}/run")  # verifies every fingerprint
    finally:
        subprocess.run(["umount", str(disk)], check=False)
