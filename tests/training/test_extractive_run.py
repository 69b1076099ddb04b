"""SQuAD by an encoder alone, from the command line: trained, judged while it is and after, begun anew."""

import dataclasses
import json
import pathlib

import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.evaluation.config import Judging
from t2t.evaluation.prepared import prepare
from t2t.objectives.config import ExtractiveSpans
from t2t.run import load
from t2t.tasks.catalog import find
from t2t.trained import load_trained
from t2t.training.inputs import open_tokenizer
from tests import tiny_squad
from tests.mesh_gradients import check_gradients

RECIPE = pathlib.Path(__file__).parent.parent / "tiny_squad.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("squad")
    return tiny_squad.write_files(path, 16, same=True)


@pytest.fixture(scope="module")
def workdir(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    assert main(["train", f"--config={RECIPE}:{folder}", f"--workdir={workdir}"]) == 0
    return workdir


def rows_of(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_questions_by_heart_and_answers_them(folder, workdir, capsys):
    rows = rows_of(workdir)
    first, last = (row for row in rows if row["split"] == "eval/squad")
    assert first["em"] < 40 and last["em"] >= 90 and last["f1"] >= 90
    held_out = [row for row in rows if row["split"] == "eval/held_out"]
    assert held_out[-1]["accuracy"] > 0.95 and held_out[-1]["loss"] < 0.2
    during = (workdir / "predictions/squad/400.jsonl").read_text()
    given = [f"--workdir={workdir}", "--tasks=squad", f"--data={folder}", "--resamples=50"]
    assert main(["eval", *given, "--batch-size=5"]) == 0, capsys.readouterr().err
    after = [json.loads(line) for line in during.splitlines()]
    again = (workdir / "predictions/squad/400.jsonl").read_text().splitlines()
    for before, now in zip(after, map(json.loads, again), strict=True):
        for key in ("prediction", "value", "truth"):
            assert before[key] == now[key]
    contexts = [p["context"] for p in tiny_squad.article(0, 16)["paragraphs"]]
    assert all(one["prediction"] in text for one, text in zip(after, contexts, strict=True))
    assert {"pale  pink", "dark-red"} & {one["prediction"] for one in after}
    result = json.loads((workdir / "predictions/squad/400.json").read_text())
    assert result["scores"]["em"] == last["em"] and "ExtractiveSpans" in result["decoding"]


def test_gradients_on_meshes_of_eight_are_those_of_one_device(folder):
    run = load(f"{RECIPE}:{folder}", [("model.layers", "scan")])
    # The head's bias, which shifts every place alike, has none, as keys' biases.
    check_gradients(run, unseen=1e-7)


REFUSED = [
    ("--tasks=glue_sst2", "its answers are no parts of a context"),
    ("--beams=4", "beams=4 is for models that write or choose"),
    ("--inputs-length=200", "--inputs-length=200 is more than the model's 96 positions"),
    ("--inputs-length=20", "inputs-length.stride: 12 would leave out tokens"),
]


@pytest.mark.parametrize("argument, named", REFUSED)
def test_what_it_cannot_answer_is_refused_in_one_line(
    workdir, folder, tmp_path, capsys, argument, named
):
    given = ["eval", f"--workdir={workdir}", f"--data={folder}"]
    if "tasks" in argument:
        (tmp_path / "glue_sst2.validation.jsonl").write_text(
            '{"sentence": "a", "label": 1, "idx": 0}\n'
        )
        given = ["eval", f"--workdir={workdir}", "--data=../shared/data/tasks"]
    given += [argument] if "tasks" in argument else ["--tasks=squad", argument]
    assert main(given) == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_the_head_is_new_and_the_rest_is_the_runs(folder, workdir, tmp_path, capfd):
    """A masked model is fine-tuned by the shipped recipe; then goes on from there, head and all."""
    masked, recipe = tmp_path / "masked", tmp_path / "masked.py"
    recipe.write_text(
        "import dataclasses\n"
        "from tests import tiny, tiny_squad\n"
        "from t2t.objectives.config import MaskedLM\n"
        "def get_config(arg):\n"
        "    run = tiny_squad.get_config(arg.partition(':')[0])\n"
        "    text = tiny.get_config(arg.partition(':')[2])\n"
        "    return dataclasses.replace(run, data=text.data, objective=MaskedLM(64),\n"
        "        model=dataclasses.replace(run.model, token_classes=0),\n"
        "        training=dataclasses.replace(run.training, steps=30),\n"
        "        evaluation=dataclasses.replace(text.evaluation, every_steps=30),\n"
        "        checkpoints=text.checkpoints)\n"
    )
    from tests.tiny import write_text

    text = write_text(tmp_path, 20_000)
    assert main(["train", f"--config={recipe}:{folder}:{text}", f"--workdir={masked}"]) == 0
    data = [
        f"--config.data.train.corpora[0].source.data={folder}",
        f"--config.data.evaluation[0].source.data={folder}",
        f"--config.evaluation.judging.data={folder}",
        f"--config.data.cache_dir={tmp_path / 'cache'}",
        "--config.data.batch_size=8",
        "--config.objective=ExtractiveSpans(56, 20, 12, 8)",
        "--config.schedule.warmup_steps=1",
        "--config.training.steps=2",
    ]
    tuned = tmp_path / "tuned"
    capfd.readouterr()
    assert main(["train", f"--config=finetune:squad:{masked}", f"--workdir={tuned}", *data]) == 0
    err = capfd.readouterr().err
    assert "the head that points at answers is new: drawn at random" in err
    assert f"begins with the parameters of {masked}, step 30" in err and "questions over" in err
    rows = rows_of(tuned)
    assert {"em", "f1"} <= {key for row in rows if row["split"] == "eval/squad" for key in row}
    more = tmp_path / "more"
    assert main(["train", f"--config=finetune:squad:{tuned}", f"--workdir={more}", *data]) == 0
    assert "is new" not in capfd.readouterr().err
    ended = [row["loss"] for row in rows if row["split"] == "eval/validation"][-1]
    begun = next(row["loss"] for row in rows_of(more) if row["split"] == "eval/validation")
    assert begun == pytest.approx(ended, rel=1e-5)


def test_hugging_face_reads_it_and_it_comes_back(folder, workdir, tmp_path, capsys):
    there, back = tmp_path / "hf", tmp_path / "back"
    assert main(["convert", str(workdir), str(there), "--to=huggingface"]) == 0
    config = json.loads((there / "config.json").read_text())
    assert config["architectures"] == ["BertForQuestionAnswering"]
    run = load_trained(str(there))
    assert run.model.token_classes == 2 and isinstance(run.objective, ExtractiveSpans)
    assert run.objective == ExtractiveSpans(96, 24, 34)
    assert main(["convert", str(there), str(back), "--to=t2t"]) == 0
    for path in (there, back):
        given = [f"--workdir={path}", "--tasks=squad", f"--data={folder}", "--resamples=0"]
        assert main(["eval", *given]) == 0, capsys.readouterr().err
        (scores,) = (path / "predictions/squad").glob("*.json")
        assert json.loads(scores.read_text())["scores"]["em"] >= 80


def test_truths_and_targets_are_those_that_other_models_are_judged_by(folder, workdir):
    run = runs.load_saved(str(workdir))
    tokenizer = open_tokenizer(run, print, str(workdir))
    spans = prepare(find("squad"), Judging(data=folder), tokenizer, run.model, run.objective)
    one = spans.examples[0]
    assert (one.truth, one.target) == ((one.target,), one.target)
    answers = {"dark-red": "dark - red", "pale  pink": "pale pink"}
    read = {spans.read(text, one) for text in answers}
    assert read == set(answers.values())
    assert (
        spans.identity
        != prepare(
            find("squad"),
            Judging(data=folder),
            tokenizer,
            run.model,
            dataclasses.replace(run.objective, stride=9),
        ).identity
    )
