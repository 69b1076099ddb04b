"""Classifiers of transformers' eight families, each with its own tokenizer: of GLUE's sentences and pairs, a
short row or a cut one, `t2t eval` tells what they tell of tokenizer(a, b); fine-tuning reads the same."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.decoding.classify import classify
from t2t.decoding.decode import make_decoder
from t2t.evaluation.config import Judging
from t2t.evaluation.prepared import prepare
from t2t.interop import huggingface
from t2t.interop.published import parameters
from t2t.models.transformer import build
from t2t.objectives.implementations import batch_shapes, headed
from t2t.tasks.catalog import find
from t2t.trained import load_trained
from t2t.training.inputs import open_inputs, open_tokenizer
from tests.interop.test_xlnet import in_float64

pytestmark = pytest.mark.slow

LENGTH = 40
SHAPE = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SHAPE |= {"intermediate_size": 48, "max_position_embeddings": LENGTH}
DISTIL = {"vocab_size": 300, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
XLNET = {"vocab_size": 300, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}
NARROW = {**SHAPE, "embedding_size": 16}
ROBERTA = {**SHAPE, "max_position_embeddings": LENGTH + 2, "type_vocab_size": 1}
# class -> (its tokenizer, its configuration, whether it tells texts apart by types)
CASES = {
    "Bert": ("Bert", SHAPE, True),
    "Roberta": ("Roberta", ROBERTA, False),
    "Albert": ("Albert", {**NARROW, "num_hidden_groups": 1}, True),
    "Electra": ("Bert", NARROW, True),
    "DistilBert": ("DistilBert", {**DISTIL, "max_position_embeddings": LENGTH}, False),
    "XLNet": ("XLNet", XLNET, True),
    "Ernie": ("Bert", {**SHAPE, "type_vocab_size": 4}, True),
    "MegatronBert": ("Bert", SHAPE, True),
}
SENTENCES = ["A warm, funny film.", "It is long! " + "So very long. " * 8, "No"]
PAIRS = [
    ("He ran home.", "He moved."),
    ("He ran home. " * 9, "He moved."),
    ("He moved.", "Then he ran all the way home. " * 5),
    ("He ran home, and home he ran. " * 4, "He moved and moved again; " * 5),
    ("He ran home, I said. " * 4, "He ran home, I said. " * 4),
]
LABELS = ["equivalent", "not_equivalent"]  # not in the task's order


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, header, rows in (
        ("SST-2", "sentence\tlabel", [f"{text}\t{i % 2}" for i, text in enumerate(SENTENCES)]),
        (
            "MRPC",
            "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
            [f"{i % 2}\t{i}\t{i}\t{a}\t{b}" for i, (a, b) in enumerate(PAIRS)],
        ),
    ):
        (folder / name).mkdir()
        for split in ("train", "dev"):
            (folder / name / f"{split}.tsv").write_text("\n".join([header, *rows, ""]))
    return folder


def tokenizer_of(transformers, kind: str):
    """A tokenizer of theirs, of letters."""
    from tokenizers import pre_tokenizers

    letters = list("abcdefghijklmnopqrstuvwxyz.,;!_")
    cls = getattr(transformers, f"{kind}Tokenizer")
    if kind == "Roberta":
        bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
        pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *bytes_, "Ġh"]
        return cls(vocab={p: i for i, p in enumerate(pieces)}, merges=[("Ġ", "h")])
    if kind in ("Albert", "XLNet"):
        special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
        if kind == "XLNet":
            special = [
                "<unk>",
                "<s>",
                "</s>",
                "<cls>",
                "<sep>",
                "<pad>",
                "<mask>",
                "<eod>",
                "<eop>",
            ]
        pieces = [*special, "▁", *letters, *(letter.upper() for letter in letters[:26]), "▁he"]
        return cls(vocab=[(piece, -float(i)) for i, piece in enumerate(pieces)])
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{x}" for x in letters)]
    return cls(vocab={p: i for i, p in enumerate(pieces)})


@pytest.fixture(scope="module", params=CASES)
def saved(request, tmp_path_factory):
    """(their model in float64, their tokenizer, whether texts have types, the directory of both)."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    name = request.param
    kind, config, types = CASES[name]
    torch.manual_seed(0)
    cls = getattr(transformers, f"{name}ForSequenceClassification")
    tokenizer = tokenizer_of(transformers, kind)
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}
    config = cls.config_class(**config, **labels, pad_token_id=tokenizer.pad_token_id)
    config._attn_implementation = "eager"
    model = cls(config).eval()
    with torch.no_grad():  # off their initialisation, so that every token shows
        for one in model.parameters():
            one.mul_(3).add_(torch.randn_like(one) * 0.1)
    folder = tmp_path_factory.mktemp(name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return in_float64(model) if name == "XLNet" else model.double(), tokenizer, types, folder


def given(tokenizer, types: bool, texts: tuple[str, ...]) -> dict:
    """What their tokenizer gives their model. Types are asked for: of transformers 5 ALBERT's and XLNet's
    leave them out unless told, which their models were trained with."""
    asked = {"return_token_type_ids": True} if types else {}
    return tokenizer(*texts, truncation=True, max_length=LENGTH, return_tensors="pt", **asked)


def theirs(saved, rows) -> np.ndarray:
    """log p of each label [rows, 2], in float64."""
    import torch

    model, tokenizer, types, _ = saved
    with torch.no_grad():
        found = [model(**given(tokenizer, types, texts)).logits[0] for texts in rows]
    return torch.stack(found).log_softmax(-1).numpy()


def ours(folder, prepared, tokenizer) -> np.ndarray:
    """As `theirs`, by the function that `t2t eval` calls."""
    found = huggingface.open_directory(str(folder))
    with jax.enable_x64(True):
        model = build(dataclasses.replace(found.arch, dtype="float64", layers="unroll"))
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shapes = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), model.shapes
        )
        params = parameters(found.leaves, shapes)
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
        return np.array(classify(make_decoder(model, tokenizer), params, prepared.rows))


@pytest.mark.parametrize("name, rows", [("sst2", [(s,) for s in SENTENCES]), ("mrpc", PAIRS)])
def test_their_logits_in_float64(saved, name, rows, data, record_property):
    folder = saved[-1]
    run = load_trained(str(folder))
    tokenizer = open_tokenizer(run, print, str(folder))
    settings = Judging(data=str(data), inputs_length=LENGTH)
    head = headed(run.objective)
    if name == "sst2":  # whose labels are others
        head = dataclasses.replace(head, labels=("negative", "positive"))
    prepared = prepare(find(f"glue_{name}"), settings, tokenizer, run.model, head)
    wanted = theirs(saved, [tuple(part.strip() for part in texts) for texts in rows])
    apart = np.abs(ours(folder, prepared, tokenizer) - wanted).max()
    record_property("difference", float(apart))
    print(f"{folder.name} {name}: {apart:.1e}")
    assert apart < 1e-6 and prepared.truncated == len(rows) - (2 if name == "sst2" else 1)
    assert np.ptp(wanted[:, 0]) > 1e-3, wanted  # texts are told apart


def test_eval_and_finetune_read_what_their_tokenizer_gives(saved, data, tmp_path, capsys):
    _, tokenizer, types, folder = saved
    asked = ["--tasks=glue_mrpc", f"--data={data}", f"--inputs-length={LENGTH}", "--resamples=0"]
    assert main(["eval", f"--workdir={folder}", *asked]) == 0, capsys.readouterr().err
    file = folder / f"predictions/glue_mrpc.inputs_length_{LENGTH}/0.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    wanted = theirs(saved, PAIRS)
    assert [line["prediction"] for line in lines] == [LABELS[i] for i in wanted.argmax(-1)]
    told = [line["scores"]["log_probability"] for line in lines]
    np.testing.assert_allclose(told, wanted.max(-1), atol=1e-4)

    settings = {
        "data.train.corpora[0].source.data": str(data),
        "data.evaluation[0].source.data": str(data),
        "data.cache_dir": str(tmp_path),
        "data.batch_size": "5",
        "data.order": "packed",
        "objective.length": str(LENGTH),
    }
    spec = f"finetune:glue_mrpc:{folder}"
    run = runs.load(spec, list(settings.items()))
    inputs = open_inputs(run, print, 1)
    batch = inputs.heldout["validation"].batch_at(0)
    encoder = batch["encoder"]
    shapes = batch_shapes(run.posed, 5, full=False)["encoder"]
    assert {name: part.shape for name, part in encoder.items()} == {
        name: shape for name, (shape, _) in shapes.items()
    }
    found = set()
    for row, segment in zip(*np.nonzero(batch["weights"] > 0), strict=True):
        mine = encoder["segments"][row] == segment + 1
        ids = tuple(encoder["tokens"][row][mine].tolist())
        found.add((ids, tuple(encoder["types"][row][mine].tolist()) if types else ()))
    rows = [given(tokenizer, types, texts) for texts in PAIRS]
    assert found == {
        (
            tuple(one["input_ids"][0].tolist()),
            tuple(one["token_type_ids"][0].tolist()) if types else (),
        )
        for one in rows
    }
    assert ("types" in encoder) == types

    import transformers

    there, back = tmp_path / "run", tmp_path / "back"
    assert main(["convert", str(folder), str(there), "--to=t2t"]) == 0
    assert main(["convert", str(there), str(back), "--to=huggingface"]) == 0
    written = transformers.AutoTokenizer.from_pretrained(back)
    for texts, one in zip(PAIRS, rows, strict=True):
        found = written(*texts, truncation=True, max_length=LENGTH, return_tensors="pt")
        assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in one.items()}
    assert main(["eval", f"--workdir={back}", *asked]) == 0
    assert (back / file.relative_to(folder)).read_text() == file.read_text()
