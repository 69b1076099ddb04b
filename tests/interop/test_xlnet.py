"""XLNet: a tiny random model of `transformers`, read here, gives the same in float64; what we write they
load, and it comes back bit for bit."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.data.tokenizers import load
from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.huggingface_tokenizer import find
from t2t.interop.published import parameters
from t2t.models.transformer import build
from t2t.models.two_stream import Memory

pytestmark = pytest.mark.slow

SHAPE = {"vocab_size": 100, "d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48}
LENGTH, MEMORY = 140, 9
KINDS = ["plain", "types", "queries", "memory"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(their model in float64, the directory that holds it)."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.XLNetLMHeadModel(transformers.XLNetConfig(**SHAPE, mem_len=None)).eval()
    with torch.no_grad():  # off their initialisation: no bias 0, no norm 1, sharper attention
        for one in model.parameters():
            one.mul_(2).add_(torch.randn_like(one) * 0.1)
    folder = tmp_path_factory.mktemp("xlnet")
    model.save_pretrained(folder)
    return in_float64(model), folder


def in_float64(model):
    """Theirs computes sinusoids in float32, and with queries does not even cast them."""
    import torch

    def exact(qlen, klen, bsz=None, device=None):
        width = model.config.d_model
        frequency = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.arange(klen, -qlen, -1, dtype=torch.float64)[:, None] * frequency
        table = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return table[:, None].expand(-1, bsz, -1)

    model.transformer.relative_positional_encoding = exact
    return model.double().eval()


def rows(kind: str) -> dict:
    """Three rows, one past 128 tokens, two padded, in our terms."""
    rng = np.random.default_rng(3)
    lengths = np.array([140, 131, 19])
    there = np.arange(LENGTH) < lengths[:, None]
    side = {"tokens": np.where(there, rng.integers(7, 100, (3, LENGTH)), 5)}
    side["segments"] = there.astype(np.int32)
    if kind == "plain":
        return side
    side["types"] = rng.integers(0, 2, (3, LENGTH)).astype(np.int32)
    if kind == "types":
        return side
    order = np.argsort(np.argsort(rng.random((3, LENGTH)), axis=1), axis=1)
    target = (order % 6 == 0) & there
    side["ranks"] = np.where(target, 1 + order, 0).astype(np.int32)
    side["queried"] = np.stack([np.flatnonzero(row)[:3] for row in target]).astype(np.int32)
    if kind == "memory":
        states = rng.normal(size=(3, 3, MEMORY, 32))
        side["memory"] = Memory(states, np.ones((3, MEMORY), bool))
    return side


def theirs(model, kind: str) -> np.ndarray:
    import torch

    side = rows(kind)
    given = {"attention_mask": side["segments"].astype(float), "use_mems": False}
    if "ranks" in side:
        ranks = side["ranks"]
        hidden = (ranks[:, None, :] > 0) & (ranks[:, :, None] <= ranks[:, None, :])
        given["perm_mask"] = hidden.astype(float)
        given["target_mapping"] = np.eye(LENGTH)[side["queried"]]
    with torch.no_grad():
        whole = {k: torch.as_tensor(v) if k != "use_mems" else v for k, v in given.items()}
        whole["input_ids"] = torch.as_tensor(side["tokens"])
        if "types" in side:
            whole["token_type_ids"] = torch.as_tensor(side["types"]).long()
        if "memory" in side:
            states = side["memory"].states  # [B, layers, M, E] -> of each layer [M, B, E]
            whole["mems"] = [torch.as_tensor(states[:, i]).transpose(0, 1) for i in range(3)]
            whole["use_mems"] = True
        return model(**whole).logits.numpy()


def ours(folder, kind: str, layers: str = "unroll") -> np.ndarray:
    found = huggingface.open_directory(str(folder))
    with jax.enable_x64(True):
        model = build(dataclasses.replace(found.arch, dtype="float64", layers=layers))
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shapes = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), model.shapes
        )
        params = parameters(found.leaves, shapes)
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)

        @jax.jit
        def run(params, side):
            return model.logits(params, model.forward(params, {"encoder": side})[0])[..., :100]

        logits = np.asarray(run(params, rows(kind)))
        assert logits.dtype == np.float64
        return logits


def apart(kind: str, one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference where there is no padding, over the largest logit."""
    assert one.shape == other.shape
    inside = rows(kind)["segments"] > 0 if "queried" not in rows(kind) else ...
    return np.abs((one - other)[inside]).max() / np.abs(other).max()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_theirs(kind, saved):
    model, folder = saved
    found = apart(kind, ours(folder, kind), theirs(model, kind))
    print(f"{kind}: {found:.1e}")
    assert found < 1e-12
    assert apart(kind, ours(folder, kind, "scan"), ours(folder, kind)) < 1e-13


def test_what_we_write_they_load_and_it_comes_back(saved, tmp_path):
    import torch
    import transformers

    model, folder = saved
    found = huggingface.open_directory(str(folder))
    assert found.family == "xlnet"
    huggingface.write_directory(str(tmp_path), found.arch, found.leaves, None)
    again = huggingface.open_directory(str(tmp_path))
    assert again.arch == found.arch
    for path, leaf in found.leaves.items():
        assert np.array_equal(leaf.whole(), again.leaves[path].whole()), path
    assert json.loads((tmp_path / "config.json").read_text())["pad_token_id"] == 5
    loaded, report = transformers.XLNetLMHeadModel.from_pretrained(
        tmp_path, dtype=torch.float64, output_loading_info=True
    )
    assert not report["unexpected_keys"] and not report["mismatched_keys"], report
    assert not report["missing_keys"] - {"lm_loss.weight"}, report
    for kind in KINDS:
        logits = theirs(in_float64(loaded), kind)[..., :100]
        assert apart(kind, logits, theirs(model, kind)) < 1e-12


@pytest.mark.parametrize("kind", ["ForSequenceClassification", "ForQuestionAnsweringSimple"])
def test_heads_of_fine_tuning_are_theirs(kind, tmp_path):
    """Rows of one length: theirs reads the last place, where padding stands before a text."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    cls = getattr(transformers, f"XLNet{kind}")
    labels = {"num_labels": 3} if "Sequence" in kind else {}
    model = cls(transformers.XLNetConfig(**SHAPE, mem_len=None, **labels)).eval()
    with torch.no_grad():
        for one in model.parameters():
            one.mul_(2).add_(torch.randn_like(one) * 0.1)
    model.save_pretrained(tmp_path / "theirs")
    rng = np.random.default_rng(4)
    tokens = rng.integers(7, 100, (3, LENGTH)).astype(np.int32)
    types = np.repeat([[0] * 60 + [1] * 79 + [2]], 3, axis=0).astype(np.int32)

    def logits(model):
        with torch.no_grad():
            given = {"input_ids": tokens, "token_type_ids": types}
            given = {name: torch.as_tensor(array).long() for name, array in given.items()}
            told = in_float64(model)(**given, use_mems=False)
        if "logits" in told:
            return told.logits.numpy()
        return np.stack([told.start_logits.numpy(), told.end_logits.numpy()], axis=-1)

    found = huggingface.open_directory(str(tmp_path / "theirs"))
    assert found.labels == (("LABEL_0", "LABEL_1", "LABEL_2") if labels else ())
    with jax.enable_x64(True):
        net = build(dataclasses.replace(found.arch, dtype="float64"))
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shapes = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), net.shapes
        )
        params = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64), parameters(found.leaves, shapes)
        )

        @jax.jit
        def run(params, side):
            hidden = net.forward(params, {"encoder": side})[0]
            if labels:
                return net.pair_logits(params, hidden[:, -1])
            return net.token_logits(params, hidden)

        ours = np.asarray(run(params, {"tokens": tokens, "types": types}))
    want = logits(model)
    assert ours.shape == want.shape and ours.dtype == np.float64
    difference = np.abs(ours - want).max() / np.abs(want).max()
    print(f"{kind}: {difference:.1e}")
    assert difference < 1e-12
    (tmp_path / "ours").mkdir()
    huggingface.write_directory(
        str(tmp_path / "ours"), found.arch, found.leaves, None, labels=found.labels
    )
    again = huggingface.open_directory(str(tmp_path / "ours"))
    assert again.arch == found.arch and again.labels == found.labels
    for path, leaf in found.leaves.items():
        assert np.array_equal(leaf.whole(), again.leaves[path].whole()), path
    loaded, report = cls.from_pretrained(
        tmp_path / "ours", dtype=torch.float64, output_loading_info=True
    )
    assert not any(report[f"{which}_keys"] for which in ("unexpected", "mismatched", "missing"))
    assert np.abs(logits(loaded) - want).max() < 1e-12 * np.abs(want).max()


def test_its_vocabulary_has_special_tokens_where_xlnet_has_them(tmp_path):
    from tokenizers import Tokenizer, models

    special = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]
    pieces = [(name, 0.0) for name in special] + [("▁the", -2.0), ("▁", -3.0), ("t", -4.0)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0))
    made.add_special_tokens(special)
    made.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "XLNetTokenizer", "pad_token": "<pad>", "cls_token": "<cls>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = load(find(str(tmp_path), {"model_type": "xlnet"})).vocabulary
    ids = found.unk_id, found.bos_id, found.eos_id, found.cls_id, found.sep_id, found.pad_id
    assert (*ids, found.mask_id) == (0, 1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    "change, named",
    [
        ({"attn_type": "uni"}, "attn_type is 'uni'; t2t computes 'bi' only"),
        ({"clamp_len": 100}, "clamp_len is 100"),
        ({"n_layer": 4}, "missing: transformer.layer.3.rel_attn.q"),
        ({"n_head": 5}, "5 heads do not divide d_model 32"),
    ],
)
def test_what_it_cannot_be_is_refused_in_one_line(change, named, saved, tmp_path):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(UserError, match=named) as error:
        huggingface.open_directory(str(tmp_path))
    assert "\n" not in str(error.value)
