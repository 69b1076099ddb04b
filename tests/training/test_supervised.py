"""A run on a task from the command line: one example a row or packed, resumed, sharded, mixed."""

import dataclasses
import json
import pathlib
import re

import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.training.initial_config import FromRun
from tests.tiny import write_text
from tests.tiny_task import write_task

RECIPE = pathlib.Path(__file__).parent.parent / "tiny_task.py"
PACKED = (
    "--config.data.order=packed",
    "--config.objective.inputs_length=128",
    "--config.objective.targets_length=96",
)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def train(task, tmp_path_factory):
    """Returns a function: trains in a directory (a new one), gives it and its rows."""

    def trained(*overrides: str, workdir=None):
        workdir = workdir or tmp_path_factory.mktemp("run")
        arguments = [f"--config={RECIPE}:{task}", f"--workdir={workdir}", *overrides]
        assert main(["train", *arguments]) == 0
        rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        return workdir, {(row["split"], row["step"]): row for row in rows}

    return trained


@pytest.fixture(scope="module")
def unpacked(train):
    return train()


@pytest.fixture(scope="module")
def packed(train):
    return train(*PACKED)


def losses(rows) -> list[float]:
    return [rows["train", step]["loss"] for step in range(1, 13)]


@pytest.mark.parametrize("order", ["unpacked", "packed"])
def test_it_learns(request, order):
    _, rows = request.getfixturevalue(order)
    held_out = [rows["eval/held_out", step]["loss"] for step in (0, 4, 8, 12)]
    assert held_out == sorted(held_out, reverse=True) and held_out[-1] < held_out[0] - 2
    assert losses(rows)[-1] < losses(rows)[0] - 2


def test_packed_and_unpacked_examples_have_the_same_loss(unpacked, packed):
    """Before the first step both runs have the same parameters; ten examples are held out."""
    one, several = (rows["eval/held_out", 0] for _, rows in (unpacked, packed))
    assert one["weight"] == several["weight"] > 200
    assert several["loss"] == pytest.approx(one["loss"], abs=1e-5)


def test_going_on_in_the_middle_equals_never_stopping(train, packed):
    workdir, begun = train(*PACKED, "--config.training.steps=5")
    assert ("train", 6) not in begun
    _, rows = train(*PACKED, workdir=workdir)
    assert losses(rows) == losses(packed[1])
    assert rows["eval/held_out", 12]["loss"] == packed[1]["eval/held_out", 12]["loss"]


def test_eight_devices_learn_what_one_does(train, packed):
    mesh = (f"--config.mesh.{axis}=2" for axis in ("data", "fsdp", "tensor"))
    _, rows = train(*PACKED, *mesh, "--config.data.evaluation=()")
    assert losses(rows) == pytest.approx(losses(packed[1]), rel=1e-4)
    assert rows["train", 3]["tokens_per_second"] > 0


def test_text_and_tasks_train_together(train, task, tmp_path, capsys):
    text = f"Text(('{write_text(tmp_path)}',),documents='paragraph')"
    workdir, rows = train(
        "--config.objective=SpanCorruption(inputs_length=64,mean_noise_span_length=5.0,targets_length=48)",
        f"--config.data.train.corpora=(Corpus('text',{text}),Corpus('sums',Task('{task}')))",
        f"--config.data.evaluation=(Corpus('prose',{text}),Corpus('sums',Task('{task}')))",
        "--config.data.order=packed",
    )
    said = capsys.readouterr()
    assert (
        "train/sums: " in said.out + said.err
        and "inputs and 0 targets were too long" in said.out + said.err
    )
    for name in ("prose", "sums"):
        assert rows[f"eval/{name}", 12]["loss"] < rows[f"eval/{name}", 0]["loss"] - 1
    saved = json.loads((workdir / "config.json").read_text())["config"]
    assert saved["data"]["train"]["corpora"][1]["source"]["name"] == str(task)


def test_the_recipe_takes_model_and_vocabulary_from_a_run(unpacked, task, capsys):
    workdir, _ = unpacked
    run = runs.load(f"finetune:{task}:{workdir}", [("objective.inputs_length", "128")])
    base = runs.load_saved(str(workdir))
    assert run.model == dataclasses.replace(base.model, dropout=0.1)
    assert run.initial == FromRun(str(workdir)) and run.data.order == "packed"
    assert (run.data.train.corpora[0].name, run.data.evaluation) == ("sums", ())
    runs.check_inputs(run)
    assert main(["inspect", f"--config=finetune:{task}:{workdir}", "--rows=1"]) == 0
    said = capsys.readouterr().out
    assert "encoder 512 tokens" in said and ": add " in said


@pytest.fixture
def lines(tmp_path) -> list[str]:
    """Overrides: a task of prose, to be copied, and a vocabulary to be trained on it."""
    prose = write_text(tmp_path).read_text(encoding="utf-8").splitlines()
    table = tmp_path / "lines.csv"
    rows = [line.replace('"', "'").strip() for line in prose if line.strip()]
    table.write_text("text\n" + "".join(f'"{line}"\n' for line in rows), encoding="utf-8")
    own = f"OwnTask('lines','copy: {{text}}','{{text}}',train='{table}')"
    return [
        "--config.tokenizer=TrainedSentencePiece(vocabulary_size=280,extra_ids=10)",
        f"--config.data.train.corpora=(Corpus('lines',Task(own={own})),)",
    ]


def test_a_vocabulary_can_be_trained_on_a_task(task, lines, capsys):
    short = ["--config.objective.inputs_length=40", "--config.objective.targets_length=24"]
    arguments = [*lines, *short, "--config.data.evaluation=()"]
    assert main(["inspect", f"--config={RECIPE}:{task}", *arguments, "--rows=8"]) == 0
    said = capsys.readouterr()
    assert said.out.count("): copy: ") == 8
    cut = re.search(r"([\d,]+) inputs and ([\d,]+) targets were too long and cut", said.err)
    inputs, targets = (int(n.replace(",", "")) for n in cut.groups())
    assert targets > inputs > 0 and "the target is cut from " in said.out


def wrong(capsys, verb: str, *arguments: str) -> str:
    assert main([verb, *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    return error[-1]


BAD = [
    ("data.train.corpora[0].source.name=glue_sst", "source: glue_sst: no such task (did you mean"),
    ("data.train.corpora[0].source.split=trian", "corpora[0].source: sums: has no split 'trian'"),
    ("data.evaluation[0].source.name=glue_rte", "config.data.evaluation[0].source: glue_rte"),
    ("data.order=streams", "config.data.train.corpora[0]: order='streams' needs running text"),
    ("objective=SpanCorruption(64)", "config.objective: SpanCorruption is for running text"),
    ("objective.targets_length=1", "config.objective.targets_length: 1 is not in"),
]


@pytest.mark.parametrize(("override", "named"), BAD)
def test_bad_input_is_one_line(capsys, task, override, named):
    line = wrong(capsys, "prepare", f"--config={RECIPE}:{task}", f"--config.{override}")
    assert line.startswith("t2t: ") or "config." in line
    assert named in line


def test_text_under_text_to_text_is_refused(capsys, task, tmp_path):
    text = f"Text(('{write_text(tmp_path)}',))"
    line = wrong(
        capsys,
        "inspect",
        f"--config={RECIPE}:{task}",
        f"--config.data.train.corpora=(Corpus('text',{text}),)",
    )
    assert "config.data.train.corpora[0]: 'text' is running text, and TextToText" in line


def test_a_vocabulary_that_cannot_spell_the_task_is_refused(capsys, task, lines, tmp_path):
    (tmp_path / "sums.csv").write_text("first,second,sum\n" + "один,два,три\n" * 20, "utf-8")
    own = f"OwnTask('sums','{{first}} {{second}}','{{sum}}',train='{tmp_path}/sums.csv')"
    foreign = f"--config.data.evaluation=(Corpus('foreign',Task(own={own})),)"
    line = wrong(capsys, "prepare", f"--config={RECIPE}:{task}", *lines, foreign)
    assert "corpus 'foreign': the vocabulary is not made for it: it cannot spell" in line
