"""GPT's and BERT's kin: tiny random models of `transformers`, read here, give the same in float64; what
we write they load, and it comes back bit for bit."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.published import parameters
from t2t.models.families.bert import classifies
from t2t.models.transformer import build

pytestmark = pytest.mark.slow

COMMON = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
COMMON |= {"intermediate_size": 48, "max_position_embeddings": 160}
GPT2 = {"vocab_size": 100, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 160}
DISTIL = {"vocab_size": 100, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
LLAMA = {k: v for k, v in COMMON.items() if k != "max_position_embeddings"}
NAMES = ["contradiction", "neutral", "entailment"]
LABELS = {"id2label": dict(enumerate(NAMES)), "label2id": {n: i for i, n in enumerate(NAMES)}}
CLASSES = {**COMMON, **LABELS}
# name -> (class, its configuration, largest relative difference)
CASES = {
    "gpt2": ("GPT2LMHeadModel", GPT2, 1e-12),
    "gpt2 by layer": ("GPT2LMHeadModel", {**GPT2, "scale_attn_by_inverse_layer_idx": True}, 1e-12),
    "gpt2 relu": ("GPT2LMHeadModel", {**GPT2, "activation_function": "relu", "n_inner": 40}, 1e-12),
    # Theirs computes norms and rotary angles in float32 whatever the model's type.
    "llama": ("LlamaForCausalLM", LLAMA, 1e-6),
    "llama grouped": ("LlamaForCausalLM", {**LLAMA, "num_key_value_heads": 2}, 1e-6),
    "llama tied": ("LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True}, 1e-6),
    "bert": ("BertForPreTraining", COMMON, 1e-12),
    "bert masked": ("BertForMaskedLM", COMMON, 1e-12),
    "roberta": ("RobertaForMaskedLM", {**COMMON, "type_vocab_size": 1}, 1e-12),
    "albert": ("AlbertForPreTraining", {**COMMON, "embedding_size": 16}, 1e-12),
    "albert groups": (
        "AlbertForPreTraining",
        {**COMMON, "num_hidden_layers": 4, "num_hidden_groups": 2, "embedding_size": 16},
        1e-12,
    ),
    "distilbert": ("DistilBertForMaskedLM", {**DISTIL, "max_position_embeddings": 160}, 1e-12),
    "electra": ("ElectraForPreTraining", {**COMMON, "embedding_size": 16}, 1e-12),
    "electra as wide": ("ElectraForPreTraining", {**COMMON, "embedding_size": 32}, 1e-12),
    "electra generator": ("ElectraForMaskedLM", {**COMMON, "embedding_size": 16}, 1e-12),
    "ernie 1": ("ErnieForPreTraining", {**COMMON, "hidden_act": "relu"}, 1e-12),
    "ernie 2": (
        "ErnieForPreTraining",
        {**COMMON, "type_vocab_size": 4, "use_task_id": True},
        1e-12,
    ),
    "megatron bert": ("MegatronBertForPreTraining", COMMON, 1e-12),
    "bert spans": ("BertForQuestionAnswering", COMMON, 1e-12),
    "roberta spans": ("RobertaForQuestionAnswering", {**COMMON, "type_vocab_size": 1}, 1e-12),
    "albert spans": ("AlbertForQuestionAnswering", {**COMMON, "embedding_size": 16}, 1e-12),
    "distilbert spans": (
        "DistilBertForQuestionAnswering",
        {**DISTIL, "max_position_embeddings": 160},
        1e-12,
    ),
    "electra spans": ("ElectraForQuestionAnswering", {**COMMON, "embedding_size": 16}, 1e-12),
    "ernie spans": ("ErnieForQuestionAnswering", {**COMMON, "type_vocab_size": 4}, 1e-12),
    "megatron bert spans": ("MegatronBertForQuestionAnswering", COMMON, 1e-12),
    "bert classes": ("BertForSequenceClassification", CLASSES, 1e-12),
    "roberta classes": (
        "RobertaForSequenceClassification",
        {**CLASSES, "type_vocab_size": 1},
        1e-12,
    ),
    "albert classes": ("AlbertForSequenceClassification", {**CLASSES, "embedding_size": 16}, 1e-12),
    "distilbert classes": (
        "DistilBertForSequenceClassification",
        {**DISTIL, "max_position_embeddings": 160, **LABELS},
        1e-12,
    ),
    "electra classes": (
        "ElectraForSequenceClassification",
        {**CLASSES, "embedding_size": 16},
        1e-12,
    ),
    "electra classes as wide": (
        "ElectraForSequenceClassification",
        {**CLASSES, "embedding_size": 32},
        1e-12,
    ),
    "ernie classes": ("ErnieForSequenceClassification", {**CLASSES, "type_vocab_size": 4}, 1e-12),
    "megatron bert classes": ("MegatronBertForSequenceClassification", CLASSES, 1e-12),
}


@pytest.fixture(scope="module")
def transformers():
    pytest.importorskip("torch")
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def saved(transformers, tmp_path_factory):
    """Returns a function: a case's model with random weights, and the directory that holds it."""
    import torch

    made = {}

    def save(name: str):
        if name not in made:
            kind, config, _ = CASES[name]
            cls = getattr(transformers, kind)
            torch.manual_seed(len(made))
            own = {"pad_token_id": 1} if "Roberta" in kind else {"pad_token_id": 0}
            if kind == "GPT2LMHeadModel":
                own = {}
            config = cls.config_class(**config, **own)
            config._attn_implementation = "eager"
            model = cls(config).eval()
            with (
                torch.no_grad()
            ):  # off their initialisation: no bias 0, no norm 1, sharper attention
                for one in model.parameters():
                    # Not so far for Llama, whose float32 parts would show.
                    one.mul_(1 if "Llama" in kind else 2).add_(torch.randn_like(one) * 0.1)
            folder = tmp_path_factory.mktemp("model")
            model.save_pretrained(folder)
            made[name] = model.double(), folder
        return made[name]

    return save


def rows(name: str):
    """Tokens, segment types and lengths of three rows, one of them past 128 and two of them padded."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(3, 100, (3, 140))
    lengths = np.array([140, 131, 9])
    padding = 1 if "roberta" in name else 0
    tokens[np.arange(140) >= lengths[:, None]] = padding
    types = rng.integers(0, 2, (3, 140)) * ("roberta" not in name)
    return tokens, types, lengths


def theirs(name: str, model) -> list[np.ndarray]:
    import torch

    tokens, types, lengths = rows(name)
    given = {"input_ids": tokens, "attention_mask": np.arange(140) < lengths[:, None]}
    if model.config.model_type in ("bert", "albert", "electra", "ernie", "megatron-bert"):
        given["token_type_ids"] = types
    if name == "ernie 2":
        given["task_type_ids"] = tokens % 3
    with torch.no_grad():
        found = model(**{k: torch.as_tensor(np.asarray(v, np.int64)) for k, v in given.items()})
    if "start_logits" in found:
        return [np.stack([found.start_logits.numpy(), found.end_logits.numpy()], axis=-1)]
    if "prediction_logits" not in found:
        return [found.logits.numpy()]
    pair = found.sop_logits if "sop_logits" in found else found.seq_relationship_logits
    return [found.prediction_logits.numpy(), pair.numpy()]


def ours(name: str, folder, layers: str = "unroll") -> list[np.ndarray]:
    """In float64, from the parameters as they stand in the files."""
    found = huggingface.open_directory(str(folder))
    tokens, types, lengths = rows(name)
    side = {"tokens": tokens, "segments": (np.arange(140) < lengths[:, None]).astype(np.int32)}
    with jax.enable_x64(True):
        arch = dataclasses.replace(found.arch, dtype="float64", layers=layers)
        model = build(arch)
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shapes = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), model.shapes
        )
        params = parameters(found.leaves, shapes)
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
        if arch.decoder_layers:
            batch = {"decoder": side}
        else:
            batch = {"encoder": {**side, "types": types, "tasks": tokens % 3}}

        @jax.jit
        def run(params, batch):
            hidden, _, _ = model.forward(params, batch)
            if arch.token_classes:
                return [model.token_logits(params, hidden)]
            if arch.head == "replaced":
                return [model.replaced_logits(params, hidden)]
            if classifies(arch):
                return [model.pair_logits(params, hidden[:, 0])]
            logits = [model.logits(params, hidden)[..., :100]]
            if arch.pair_classes:
                logits.append(model.pair_logits(params, hidden[:, 0]))
            return logits

        result = [np.asarray(x) for x in run(params, batch)]
        assert all(x.dtype == np.float64 for x in result)
        return result


def apart(name: str, one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """The largest difference where there is no padding, over the largest logit."""
    inside = np.arange(140) < rows(name)[2][:, None]
    assert len(one) == len(other)
    return max(
        np.abs((a - b)[inside] if a.shape[:2] == inside.shape else a - b).max() / np.abs(b).max()
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", CASES)
def test_logits_are_theirs(name, saved, record_property):
    model, folder = saved(name)
    found = apart(name, ours(name, folder), theirs(name, model))
    record_property("relative difference", found)
    print(f"{name}: {found:.1e}")
    assert found < CASES[name][2]


@pytest.mark.parametrize("name", ["gpt2 by layer", "albert groups"])
def test_scanned_layers_give_the_same(name, saved):
    _, folder = saved(name)
    assert apart(name, ours(name, folder, "scan"), ours(name, folder)) < 1e-13


@pytest.mark.parametrize("name", CASES)
def test_what_we_write_they_load_and_it_comes_back(name, saved, transformers, tmp_path):
    import torch

    model, folder = saved(name)
    found = huggingface.open_directory(str(folder))
    family = "electra" if name.startswith("electra") else "ernie" if "ernie" in name else ""
    huggingface.write_directory(
        str(tmp_path), found.arch, found.leaves, None, family, labels=found.labels
    )
    again = huggingface.open_directory(str(tmp_path))
    assert again.labels == found.labels == (tuple(NAMES) if "classes" in name else ())
    assert dataclasses.replace(again.arch, dropout=0) == dataclasses.replace(found.arch, dropout=0)
    for path, leaf in found.leaves.items():
        assert np.array_equal(leaf.whole(), again.leaves[path].whole()), path
    config = json.loads((tmp_path / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    loaded, report = cls.from_pretrained(
        tmp_path, dtype=torch.float64, attn_implementation="eager", output_loading_info=True
    )
    assert not report["unexpected_keys"] and not report["mismatched_keys"], report
    assert loaded.config.id2label == model.config.id2label or not found.labels
    # Ours is padded to 128 rows of vocabulary; what stands there is zero.
    logits = [x[..., :100] for x in theirs(name, loaded.eval())]
    before = [x[..., :100] for x in theirs(name, model)]
    assert apart(name, logits, before) < 1e-12


def test_older_names_are_read(saved, tmp_path):
    from safetensors.numpy import load_file, save_file

    for name, change in (
        ("bert", lambda n: n.replace("LayerNorm.weight", "LayerNorm.gamma")),
        ("gpt2", lambda n: n.removeprefix("transformer.")),
    ):
        _, folder = saved(name)
        old = tmp_path / name
        old.mkdir()
        (old / "config.json").write_text((folder / "config.json").read_text())
        tensors = load_file(folder / "model.safetensors")
        renamed = {change(n): tensor for n, tensor in tensors.items()}
        assert set(renamed) != set(tensors)
        if name == "gpt2":  # buffers of older exports
            renamed["h.0.attn.bias"] = np.ones((1, 1, 8, 8), np.float32)
        else:
            renamed["bert.embeddings.position_ids"] = np.arange(160)[None]
        save_file(renamed, old / "model.safetensors")
        assert all(
            np.array_equal(x, y) for x, y in zip(ours(name, old), ours(name, folder), strict=True)
        )


def test_a_pooler_that_nothing_reads_is_passed_over(saved, tmp_path):
    """Older files of BertForQuestionAnswering hold BERT's; those of pre-training need theirs."""
    from safetensors.numpy import load_file, save_file

    _, folder = saved("bert spans")
    tensors = load_file(folder / "model.safetensors")
    tensors["bert.pooler.dense.weight"] = np.ones((32, 32), np.float32)
    tensors["bert.pooler.dense.bias"] = np.ones(32, np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    one, other = ours("bert spans", tmp_path), ours("bert spans", folder)
    assert np.array_equal(one[0], other[0])


WRONG = [
    ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights is False; t2t computes True only"),
    ("gpt2", {"n_layer": 4}, "missing: transformer.h.3.ln_1.weight"),
    (
        "gpt2",
        {"activation_function": "swishy"},
        "activation_function is 'swishy'; t2t has gelu_new",
    ),
    ("llama", {"attention_bias": True}, "attention_bias is True"),
    ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "scaled .yarn."),
    (
        "bert",
        {"hidden_size": 36},
        "of another shape or type: bert.embeddings.word_embeddings.weight",
    ),
    ("bert", {"model_type": "roberta"}, "missing: roberta.embeddings.word_embeddings.weight"),
    ("bert", {"model_type": "bart"}, "of family 'bart'"),
    ("bert", {"num_attention_heads": 5}, "5 heads do not divide hidden_size 32"),
    ("albert", {"inner_group_num": 2}, "inner_group_num is 2"),
]


@pytest.mark.parametrize("name, change, named", WRONG)
def test_what_it_cannot_be_is_refused_in_one_line(name, change, named, saved, tmp_path):
    _, folder = saved(name)
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(UserError) as error:
        huggingface.open_directory(str(tmp_path))
    assert re.search(named, str(error.value)) and "\n" not in str(error.value)


def test_a_class_that_computes_something_else_is_refused(saved, tmp_path):
    found = huggingface.open_directory(str(saved("roberta")[1]))
    with pytest.raises(UserError, match="--family=bert: has first_position=0, and this model 2"):
        huggingface.write_directory(str(tmp_path), found.arch, found.leaves, None, "bert")
