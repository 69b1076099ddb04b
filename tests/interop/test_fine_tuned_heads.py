"""Heads of fine-tuned encoders in Hugging Face's directories: their names, labels, and what is refused.

Names and shapes are typed out here, not taken from t2t's name maps.
"""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.fine_tuned import with_one_head
from t2t.interop.published import parameter_shapes
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.families import (
    albert,
    bert,
    distilbert,
    electra,
    ernie,
    megatron_bert,
    roberta,
    xlnet,
)
from t2t.objectives.config import Classes, ExtractiveSpans
from t2t.tasks.class_answers import answers_of, named_alike

SHAPE = {"vocab_size": 128, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 24}
SHAPE |= {"encoder_layers": 1}
PLACES = {"learned_positions": 32}
LABELS = ("red", "green", "dark blue")
# family -> (its pre-trained model, its pooling layer, its classifier, what stands between, class's name)
POOLED = ("bert.pooler.dense", "classifier", "tanh", "Bert")
FAMILIES = {
    "bert": (bert.architecture("base", **SHAPE, **PLACES), *POOLED),
    "megatron-bert": (
        megatron_bert.architecture("345m", **SHAPE | PLACES),
        *POOLED[:3],
        "MegatronBert",
    ),
    "ernie": (
        ernie.architecture("2.0-base", **SHAPE, **PLACES, token_classes=4),
        "ernie.pooler.dense",
        "classifier",
        "tanh",
        "Ernie",
    ),
    "albert": (
        albert.architecture("base", **SHAPE | PLACES | {"d_embedding": 8}),
        "albert.pooler",
        "classifier",
        "tanh",
        "Albert",
    ),
    "roberta": (
        roberta.architecture("base", **SHAPE | PLACES),
        "classifier.dense",
        "classifier.out_proj",
        "tanh",
        "Roberta",
    ),
    "distilbert": (
        distilbert.architecture("base", **SHAPE, **PLACES),
        "pre_classifier",
        "classifier",
        "relu",
        "DistilBert",
    ),
    "electra": (
        electra.architecture("base", **SHAPE, **PLACES),
        "classifier.dense",
        "classifier.out_proj",
        "gelu",
        "Electra",
    ),
    "xlnet": (
        xlnet.architecture("base", **SHAPE),
        "sequence_summary.summary",
        "logits_proj",
        "tanh",
        "XLNet",
    ),
}


def random_leaves(arch) -> dict:
    rng = np.random.default_rng(0)

    def leaf(shape):
        array = rng.normal(size=shape).astype(np.float32)
        return StoredTensor(shape, array.dtype, lambda index: array[index])

    return {path: leaf(shape) for path, shape in parameter_shapes(arch).items()}


def tuned(name: str, folder, labels=LABELS, **classes) -> tuple:
    """Writes what a run of the family that tells labels, or points (token_classes=2), is there."""
    classes = classes or {"pair_classes": len(labels)}
    whole = dataclasses.replace(FAMILIES[name][0], **classes)
    head = ExtractiveSpans() if "token_classes" in classes else Classes(labels, plain=True)
    said = []
    arch, leaves = with_one_head(whole, random_leaves(whole), head, said.append)
    folder.mkdir(exist_ok=True)
    given = labels if isinstance(head, Classes) else ()
    huggingface.write_directory(str(folder), arch, leaves, None, name, labels=given)
    return arch, leaves, said


def same(found, arch, leaves) -> None:
    assert found.arch == dataclasses.replace(arch, dropout=found.arch.dropout)
    assert set(found.leaves) == set(leaves)
    for path, leaf in leaves.items():
        np.testing.assert_array_equal(found.leaves[path].whole(), leaf.whole())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_classifier_is_theirs_by_name_and_comes_back(name, tmp_path):
    model, pooler, classifier, activation, kind = FAMILIES[name]
    assert model.pooler_activation == activation
    arch, leaves, said = tuned(name, tmp_path)
    assert ["vocabulary_bias" in line or "replaced_head" in line for line in said] == [True]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [f"{kind}ForSequenceClassification"]
    assert config["id2label"] == {"0": "red", "1": "green", "2": "dark blue"}
    assert config["label2id"] == {"red": 0, "green": 1, "dark blue": 2}
    tensors = load_file(tmp_path / "model.safetensors")
    for theirs, ours in ((pooler, "pooler"), (classifier, "classifier")):
        kernel, bias = (leaves["pair_head", ours, part].whole() for part in ("kernel", "bias"))
        np.testing.assert_array_equal(tensors[f"{theirs}.weight"], kernel.T)
        np.testing.assert_array_equal(tensors[f"{theirs}.bias"], bias)
    pretraining = ("cls.", "predictions.", "lm_", "vocab_", "sop_", "generator", "discriminator")
    assert not [tensor for tensor in tensors if tensor.startswith(pretraining)]
    found = huggingface.open_directory(str(tmp_path))
    assert found.labels == LABELS and found.family == name
    same(found, arch, leaves)


def test_that_a_classifier_was_shown_t5s_words_is_said():
    model, said = dataclasses.replace(FAMILIES["bert"][0], pair_classes=3), []
    with_one_head(model, random_leaves(model), Classes(LABELS), said.append)
    assert said[0].startswith("its texts were in T5's words (config.objective.plain is false)")


@pytest.mark.parametrize("name", ["megatron-bert", "electra", "xlnet"])
def test_spans_are_theirs_by_name_and_come_back(name, tmp_path):
    arch, leaves, _ = tuned(name, tmp_path, token_classes=2)
    config = json.loads((tmp_path / "config.json").read_text())
    kind = FAMILIES[name][-1] + "ForQuestionAnswering" + "Simple" * (name == "xlnet")
    assert config["architectures"] == [kind] and "id2label" not in config
    tensors = load_file(tmp_path / "model.safetensors")
    kernel = leaves["token_head", "kernel"].whole()
    np.testing.assert_array_equal(tensors["qa_outputs.weight"], kernel.T)
    same(huggingface.open_directory(str(tmp_path)), arch, leaves)


def changed(folder, **changes) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    kept = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))


def test_labels_without_names_are_numbered(tmp_path):
    tuned("bert", tmp_path)
    changed(tmp_path, id2label=..., label2id=...)
    assert huggingface.open_directory(str(tmp_path)).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


WRONG = [
    ({"problem_type": "multi_label_classification"}, "is 'multi_label_classification'; t2t tells"),
    ({"problem_type": "regression"}, "problem_type is 'regression'; t2t tells one of two or more"),
    ({"id2label": {"0": "a", "1": "b"}}, "names 2 labels, and the classifier has 3 outputs"),
    ({"id2label": {"0": "a", "1": "b", "2": "a"}}, "gives two labels one name: a, b, a"),
    ({"id2label": ["a", "b", "c"]}, "id2label is .*, not numbers with their names"),
    ({"architectures": ["BertForTokenClassification"]}, "a BertForTokenClassification, whose head"),
    ({"num_hidden_layers": 2}, "missing: bert.encoder.layer.1.attention.self.query.weight"),
]


@pytest.mark.parametrize("changes, named", WRONG)
def test_what_it_cannot_be_is_refused_in_one_line(tmp_path, changes, named):
    tuned("bert", tmp_path)
    changed(tmp_path, **changes)
    with pytest.raises(UserError, match=named) as error:
        huggingface.open_directory(str(tmp_path))
    assert "\n" not in str(error.value)


def test_heads_of_another_kind_are_refused_in_one_line(tmp_path):
    from safetensors.numpy import save_file

    tuned("roberta", tmp_path / "score", ("one",))
    changed(tmp_path / "score", problem_type=None)
    with pytest.raises(UserError, match="one output, a regression; t2t tells one of two or more"):
        huggingface.open_directory(str(tmp_path / "score"))
    tuned("xlnet", tmp_path / "beam", token_classes=2)
    tensors = load_file(tmp_path / "beam" / "model.safetensors")
    del tensors["qa_outputs.weight"], tensors["qa_outputs.bias"]
    tensors["start_logits.dense.weight"] = np.zeros((1, 16), np.float32)
    save_file(tensors, tmp_path / "beam" / "model.safetensors")
    with pytest.raises(UserError, match="reads XLNetForQuestionAnsweringSimple"):
        huggingface.open_directory(str(tmp_path / "beam"))
    tuned("xlnet", tmp_path / "first")
    changed(tmp_path / "first", summary_type="first")
    with pytest.raises(UserError, match="summary_type is 'first'; t2t computes 'last' only"):
        huggingface.open_directory(str(tmp_path / "first"))
    arch, leaves, _ = tuned("electra", tmp_path / "electra")
    with pytest.raises(UserError, match="--family=bert: has pooler_activation='tanh', .* 'gelu'"):
        huggingface.write_directory(str(tmp_path), arch, leaves, None, "bert")


def test_labels_mean_the_choices_that_are_spelled_alike():
    inference = ("entailment", "neutral", "contradiction")
    assert answers_of(("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), inference) == inference[::-1]
    assert answers_of(("not-equivalent", "Equivalent"), ("not_equivalent", "equivalent")) == (
        "not_equivalent",
        "equivalent",
    )
    assert answers_of(("LABEL_0", "LABEL_1"), ("b", "a")) == ("b", "a")
    assert answers_of(("a", "a "), ("a", "b")) is None
    assert answers_of(inference, ("entailment", "not_entailment")) is None
    assert answers_of(("LABEL_0", "LABEL_1"), inference) is None
    assert named_alike(("NEGATIVE", "POSITIVE"), ("negative", "positive"))
    assert not named_alike(("POSITIVE", "NEGATIVE"), ("negative", "positive"))
    assert not named_alike(("LABEL_0", "LABEL_1"), ("negative", "positive"))
