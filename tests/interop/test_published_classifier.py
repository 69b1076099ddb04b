"""A classifier of transformers' own, judged from the command line: it tells what they say it tells."""

import json

import pytest

from t2t.cli import main
from t2t.data.tokenizer_config import Subwords
from t2t.data.tokenizers import load
from tests.tiny_judged import write_task

pytestmark = pytest.mark.slow

SHAPE = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SHAPE |= {"intermediate_size": 48, "max_position_embeddings": 40}
DISTIL = {"vocab_size": 100, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
DISTIL |= {"max_position_embeddings": 40}
# In another order and spelling than the task's choices: red, green, dark blue.
NAMES = ["Dark-Blue", "RED", "green"]
CASES = {
    "BertForSequenceClassification": SHAPE,
    "RobertaForSequenceClassification": {**SHAPE, "type_vocab_size": 1, "pad_token_id": 0},
    "DistilBertForSequenceClassification": DISTIL,
    "ElectraForSequenceClassification": {**SHAPE, "embedding_size": 16},
}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("task"))


def published(folder, name: str, task, labels: dict):
    """Saves a random model of theirs with the task's vocabulary; returns it."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    model = cls(cls.config_class(**CASES[name], **labels)).eval()
    with torch.no_grad():
        for one in model.parameters():
            one.mul_(4).add_(torch.randn_like(one) * 0.2)
        # Each label as likely as the others on the mean: the last bias is the classifier's.
        *_, bias = model.parameters()
        rows = (task.parent / "train.jsonl").read_text().splitlines()
        texts = [f"of what colour is the {json.loads(row)['thing']}?" for row in rows]
        bias.sub_(logits_of(model, texts, task.parent / "vocab.txt").mean(0))
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text((task.parent / "vocab.txt").read_text())
    return model


def logits_of(model, texts: list[str], vocabulary):
    """[texts, labels], each text a row of its own."""
    import torch

    tokenizer, found = load(Subwords(str(vocabulary))), []
    known = tokenizer.vocabulary
    for ids in tokenizer.encode(texts):
        row = torch.tensor([[known.cls_id, *ids.tolist(), known.sep_id]])
        with torch.no_grad():
            found.append(model(input_ids=row).logits[0])
    return torch.stack(found)


def told_by(model, texts: list[str], vocabulary) -> list[int]:
    return logits_of(model, texts, vocabulary).argmax(-1).tolist()


@pytest.mark.parametrize("name", CASES)
def test_eval_tells_what_they_tell(name, task, tmp_path, capsys):
    labels = {"id2label": dict(enumerate(NAMES)), "label2id": {n: i for i, n in enumerate(NAMES)}}
    model = published(tmp_path / "hf", name, task, labels)
    given = [f"--tasks={task}", "--split=train", "--resamples=0", "--batch-size=4"]
    assert main(["eval", f"--workdir={tmp_path / 'hf'}", *given]) == 0, capsys.readouterr().err
    (file,) = (tmp_path / "hf/predictions").glob("*/0.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    want = told_by(model, [line["input"] for line in lines], task.parent / "vocab.txt")
    colours = ["dark blue", "red", "green"]
    assert [line["prediction"] for line in lines] == [colours[number] for number in want]
    assert len(lines) == 20 and len(set(want)) > 1, want
    assert json.loads(file.with_suffix(".json").read_text())["invalid"] == 0


def test_labels_without_names_are_taken_by_number_and_told(task, tmp_path, capsys):
    name = "BertForSequenceClassification"
    model = published(tmp_path / "hf", name, task, {"num_labels": 3})
    assert main(["eval", f"--workdir={tmp_path / 'hf'}", f"--tasks={task}", "--resamples=0"]) == 0
    assert "have no names (LABEL_0, ...) and are taken to be red, green, dark blue" in (
        capsys.readouterr().err
    )
    lines = (tmp_path / "hf/predictions/colours/0.jsonl").read_text().splitlines()
    texts = [json.loads(line)["input"] for line in lines]
    want = told_by(model, texts, task.parent / "vocab.txt")
    said = [json.loads(line)["prediction"] for line in lines]
    assert said == [("red", "green", "dark blue")[number] for number in want]


def test_another_tasks_labels_are_refused_in_one_line(task, tmp_path, capsys):
    labels = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    published(tmp_path / "hf", "BertForSequenceClassification", task, labels)
    assert main(["eval", f"--workdir={tmp_path / 'hf'}", f"--tasks={task}"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "its answers are red, green, dark blue, and the model tells no, yes" in line
    assert main(["generate", f"--workdir={tmp_path / 'hf'}", f"--input={task}"]) == 2
    assert "an encoder alone, which writes no text" in capsys.readouterr().err
