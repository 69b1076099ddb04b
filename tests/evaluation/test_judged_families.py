"""Encoders, decoders and both together on one task, from the command line to one table."""

import json
import pathlib

import pytest

from t2t.cli import main
from t2t.errors import UserError
from t2t.run import check_inputs, load
from tests.tiny_judged import STACKS, write_task

RECIPE = pathlib.Path(__file__).parent.parent / "tiny_judged.py"
FREE = '\nname = "free"\ninput = "{thing}"\ntarget = "{colour}"\nvalidation = "validation.jsonl"\n'


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = write_task(tmp_path_factory.mktemp("task"))
    (path.parent / "free.toml").write_text(FREE)
    return path


def test_free_text_is_refused_for_an_encoder_alone(task):
    run = load(f"{RECIPE}:encoder:{task}")
    named = r"free: its answers are free text, and the model is an encoder alone"
    free = str(task.parent / "free.toml")
    with pytest.raises(UserError, match=rf"config\.evaluation\.tasks\[0\]: {named}"):
        check_inputs(load(f"{RECIPE}:encoder:{task}", [("evaluation.tasks", f"({free!r},)")]))
    with pytest.raises(UserError, match=rf"config\.data\.train\.corpora\[0\]\.source: {named}"):
        overrides = [("data.train.corpora[0].source", f"Task({free!r}, split='validation')")]
        check_inputs(load(f"{RECIPE}:encoder:{task}", overrides))
    check_inputs(run)


@pytest.mark.slow
def test_all_stacks_learn_one_task_and_stand_in_one_table(task, tmp_path, capsys):
    for kind in STACKS:
        workdir = tmp_path / kind
        assert main(["train", f"--config={RECIPE}:{kind}:{task}", f"--workdir={workdir}"]) == 0
        err = capsys.readouterr().err
        assert ("blanks of" if kind == "both" else "examples of") in err
        rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        first, last = (row for row in rows if row["split"] == "eval/colours")
        assert last["accuracy"] > 85 >= first["accuracy"], kind
        during = (workdir / "predictions/colours/150.jsonl").read_text()
        arguments = [f"--workdir={workdir}", f"--tasks={task}", "--resamples=100"]
        assert main(["eval", *arguments]) == 0, capsys.readouterr().err
        assert (workdir / "predictions/colours/150.jsonl").read_text() == during
        line = json.loads(during.splitlines()[0])
        assert line["input"] == "of what colour is the dry sky?" and line["target"] == "dark blue"
        assert main(["eval", *arguments, "--rank"]) == 0, capsys.readouterr().err
    # The last word of a passage is written: an encoder alone cannot.
    (tmp_path / "lambada_test_plain_text.txt").write_text("of what colour is the sky dark\n" * 3)
    for kind in STACKS:
        arguments = [f"--workdir={tmp_path / kind}", "--tasks=lambada", f"--data={tmp_path}"]
        assert main(["eval", *arguments]) == (2 if kind == "encoder" else 0)
    assert "lambada: its answers are free text" in capsys.readouterr().err
    runs = [str(tmp_path / kind) for kind in STACKS]
    assert main(["compare", *runs, f"--markdown={tmp_path}/table.md"]) == 0
    out = capsys.readouterr().out
    lines = (tmp_path / "table.md").read_text().splitlines()
    header, body = lines[0], lines[2:5]
    assert "colours accuracy" in header and "colours.rank accuracy" in header
    assert [line.split(" | ")[2] for line in body] == ["encoder-decoder", "decoder", "encoder"]
    assert all(kind in out for kind in runs) and "(" in body[0]

    assert main(["eval", f"--workdir={runs[2]}", f"--tasks={task.parent}/free.toml"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "free: its answers are free text" in err
    prompts = tmp_path / "in.txt"
    prompts.write_text("of what colour is the sky?\nof what colour is the blood?\n")
    assert main(["generate", f"--workdir={runs[1]}", f"--input={prompts}"]) == 0
    assert capsys.readouterr().out == " dark blue\n red\n"
    assert main(["generate", f"--workdir={runs[2]}", f"--input={prompts}"]) == 2
    assert "an encoder alone, which writes no text" in capsys.readouterr().err
