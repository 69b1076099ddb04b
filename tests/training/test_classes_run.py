"""BERT, ELECTRA and XLNet from pre-training to a classifier, from the command line."""

import dataclasses
import json
import pathlib

import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.data.tokenizer_config import Subwords
from t2t.data.tokenizers import load
from t2t.errors import UserError
from t2t.models.families import bert, electra, xlnet
from t2t.objectives.classes_config import Classes
from t2t.objectives.config import MaskedLM, PermutationLM, TextToText
from t2t.run import Run
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Constant
from tests import tiny, tiny_judged

SHAPE = {"vocab_size": 128, "d_model": 32, "heads": 4, "head_dim": 8, "d_ff": 64, "dropout": 0.0}
LABELS = ("red", "green", "dark blue")
RECIPE = pathlib.Path(__file__)

pytestmark = pytest.mark.slow


def get_config(arg: str) -> Run:
    """arg: bert, electra or xlnet, and a folder with text.txt and vocab.txt; pre-training."""
    family, _, folder = arg.partition(":")
    run = tiny.get_config(f"{folder}/text.txt")
    if family == "electra":
        more = {"encoder_layers": 2, "d_embedding": 16, "learned_positions": 64}
        model = electra.architecture("small", **SHAPE, **more)
        small = {**SHAPE, **more, "d_model": 16, "heads": 2, "d_ff": 32, "d_embedding": 0}
        parts = {"generator": electra.generator("small", **small), "objective": MaskedLM(64)}
    elif family == "bert":
        model = bert.architecture("base", **SHAPE, encoder_layers=2, learned_positions=64)
        parts = {"objective": MaskedLM(64, pairs="next_sentence")}
    else:
        model = xlnet.architecture("base", **SHAPE, encoder_layers=2)
        parts = {"objective": PermutationLM(64)}
    return dataclasses.replace(
        run,
        model=model,
        tokenizer=Subwords(f"{folder}/vocab.txt"),
        optimizer=AdamW(),
        schedule=Constant(1e-3),
        training=dataclasses.replace(run.training, steps=2, z_loss=0.0),
        evaluation=dataclasses.replace(run.evaluation, every_steps=2, batches=1),
        checkpoints=dataclasses.replace(run.checkpoints, every_steps=2),
        **parts,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    tiny_judged.write_task(folder)
    tiny.write_text(folder, 20_000)
    return folder


@pytest.fixture(scope="module", params=["bert", "electra", "xlnet"])
def pretrained(request, folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / request.param
    assert (
        main(["train", f"--config={RECIPE}:{request.param}:{folder}", f"--workdir={workdir}"]) == 0
    )
    return workdir


def tune(base, folder, workdir, *more: str) -> int:
    settings = [
        "data.batch_size=8",
        f"data.cache_dir={folder}/cache",
        "objective.length=48",
        "schedule=Constant(3e-3)",
        "training.steps=120",
        "evaluation.every_steps=120",
        "evaluation.examples=2",
        f'evaluation.tasks=("{folder}/colours.toml",)',
        "checkpoints.every_steps=120",
        "checkpoints.keep_best=0",
    ]
    given = [f"--config.{setting}" for setting in settings]
    config = f"--config=finetune:{folder}/colours.toml:{base}"
    return main(["train", config, f"--workdir={workdir}", *given, *more])


def test_a_classifier_is_trained_judged_and_gone_on_with(pretrained, folder, tmp_path, capfd):
    task = f"--tasks={folder}/colours.toml"
    # As it is: by replaced tokens, or by queries.
    assert main(["eval", f"--workdir={pretrained}", task, "--resamples=0"]) == 0
    tuned = tmp_path / "tuned"
    assert tune(pretrained, folder, tuned) == 0
    said = capfd.readouterr().err
    pools = pretrained.name == "bert"  # its pooler is that of next sentences
    assert (
        f"classifier{' is' if pools else ' and what it pools by are'} new: drawn at random" in said
    )
    assert f"begins with the parameters of {pretrained}, step 2" in said and "'dark blue'" in said
    rows = [json.loads(line) for line in (tuned / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["split"] == "eval/colours"][-1]
    assert last["accuracy"] > 85
    during = (tuned / "predictions/colours/120.jsonl").read_text()
    assert main(["eval", f"--workdir={tuned}", task, "--resamples=20"]) == 0
    assert (tuned / "predictions/colours/120.jsonl").read_text() == during
    result = json.loads((tuned / "predictions/colours/120.json").read_text())
    assert result["decoding"] == "the likeliest class" and result["invalid"] == 0

    more = tmp_path / "more"
    assert tune(tuned, folder, more, "--config.training.steps=1") == 0
    assert "new: drawn" not in capfd.readouterr().err
    check_published(tuned, folder, tmp_path, capfd)
    assert main(["inspect", f"--config=finetune:{folder}/colours.toml:{tuned}", "--rows=1"]) == 0
    shown = capfd.readouterr().out
    assert any(f": {label}\n" in shown for label in LABELS), shown


def check_published(tuned, folder, tmp_path, capfd) -> None:
    """Hugging Face's classes tell of the run's directory what the run does, and so does it read back."""
    family = {"bert": "Bert", "electra": "Electra", "xlnet": "XLNet"}
    there, task = tmp_path / "hf", f"--tasks={folder}/colours.toml"
    assert main(["convert", str(tuned), str(there), "--to=huggingface"]) == 0
    left = [line for line in capfd.readouterr().err.splitlines() if line.startswith("left out")]
    assert len(left) == 1 and ("vocabulary_bias" in left[0] or "replaced_head" in left[0])
    config = json.loads((there / "config.json").read_text())
    name = f"{family[config['model_type']]}ForSequenceClassification"
    assert config["architectures"] == [name]
    assert tuple(config["id2label"].values()) == LABELS
    assert main(["convert", str(there), str(tmp_path / "again"), "--to=t2t"]) == 0
    during = (tuned / "predictions/colours/120.jsonl").read_text()
    for path in (there, tmp_path / "again"):
        assert main(["eval", f"--workdir={path}", task, "--resamples=0"]) == 0
        assert (path / "predictions/colours/0.jsonl").read_text() == during
    more = tmp_path / "more of theirs"
    capfd.readouterr()
    assert tune(there, folder, more, "--config.training.steps=1") == 0
    assert "new: drawn" not in capfd.readouterr().err

    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    loaded, report = getattr(transformers, name).from_pretrained(there, output_loading_info=True)
    assert not any(report[f"{which}_keys"] for which in ("unexpected", "mismatched", "missing"))
    tokenizer, last = load(Subwords(str(folder / "vocab.txt"))), config["model_type"] == "xlnet"
    known, theirs = tokenizer.vocabulary, transformers.AutoTokenizer.from_pretrained(there)
    for line in map(json.loads, during.splitlines()):
        ids = [known.cls_id, *tokenizer.encode([line["input"]])[0].tolist(), known.sep_id]
        ids = ids[1:] + ids[:1] if last else ids
        types = [0] * (len(ids) - 1) + [2 if last else 0]
        made = theirs(line["input"])
        assert (made["input_ids"], made["token_type_ids"]) == (ids, types)
        given = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types])}
        with torch.no_grad():
            told = loaded.eval()(**given).logits.log_softmax(-1)[0]
        assert loaded.config.id2label[int(told.argmax())] == line["prediction"]
        assert float(told.max()) == pytest.approx(line["scores"]["log_probability"], abs=1e-4)


def test_a_discriminator_is_taken_out_of_its_run(pretrained, folder, tmp_path, capfd):
    """Others, which are no part of another, are written as they are."""
    there, back = tmp_path / "hf", tmp_path / "back"
    assert main(["convert", str(pretrained), str(there), "--to=huggingface"]) == 0
    config = json.loads((there / "config.json").read_text())
    kinds = {
        "bert": "BertForPreTraining",
        "electra": "ElectraForPreTraining",
        "xlnet": "XLNetLMHeadModel",
    }
    assert config["architectures"] == [kinds[pretrained.name]]
    assert main(["convert", str(pretrained), str(back), "--to=t2t"]) == 0, capfd.readouterr().err
    assert main(["convert", str(there), str(tmp_path / "again"), "--to=t2t"]) == 0
    for path in (back, tmp_path / "again"):
        saved = runs.load_saved(str(path))
        assert (
            saved.generator is None and saved.model.head == runs.load_saved(pretrained).model.head
        )
        if pretrained.name == "electra":
            with pytest.raises(UserError, match="config.generator names the network"):
                runs.check(saved)
        task = f"{folder}/colours.toml"
        assert main(["eval", f"--workdir={path}", f"--tasks={task}", "--resamples=0"]) == 0
        assert runs.load(f"finetune:{task}:{path}").model.pair_classes == len(LABELS)


def test_what_does_not_go_together_is_named(pretrained, folder):
    spec = f"finetune:{folder}/colours.toml:{pretrained}"
    run = runs.load(spec)
    assert run.objective == Classes(LABELS, 48, plain=True) and run.model.pair_classes == 3
    runs.check_inputs(run)
    other = Classes(("good", "bad"), 48)
    changes = [
        (
            {"model": dataclasses.replace(run.model, pair_classes=2)},
            r"pair_classes: 2, and Classes",
        ),
        (
            {"objective": other, "model": dataclasses.replace(run.model, pair_classes=2)},
            r"its answers are red, green, dark blue, and the model tells good, bad",
        ),
    ]
    if pretrained.name == "electra":
        changes.append(({"objective": TextToText(48, 8)}, "tells no words, .* take Classes"))
    for change, named in changes:
        with pytest.raises(UserError, match=named):
            wrong = dataclasses.replace(run, **change)
            runs.check(wrong)
            runs.check_inputs(wrong)
