"""Switch and T5Gemma: tiny random models of `transformers` read here give the same in float64; what we
write they load, and it comes back bit for bit."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.published import parameters
from t2t.models.transformer import build

pytestmark = pytest.mark.slow

SWITCH = {
    "vocab_size": 128, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4,
    "num_layers": 4, "num_decoder_layers": 2, "num_experts": 4, "expert_capacity": 40,
    "num_sparse_encoder_layers": 2, "num_sparse_decoder_layers": 1, "decoder_start_token_id": 0,
}  # fmt: skip
GEMMA = {
    "vocab_size": 128, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "query_pre_attn_scalar": 20, "sliding_window": 24, "attn_logit_softcapping": 3.0,
    "final_logit_softcapping": 2.0,
}  # fmt: skip
INPUTS, TARGETS = (150, 138), (140, 129)  # past 128, past windows, past capacities


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Returns a function: a family's model with random weights, and the directory that holds it."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    made = {}

    def save(name: str):
        if name not in made:
            torch.manual_seed(0)
            if name == "switch":
                config = transformers.SwitchTransformersConfig(**SWITCH)
                config._attn_implementation = "eager"
                model = transformers.SwitchTransformersForConditionalGeneration(config)
            else:
                config = transformers.T5GemmaConfig(
                    encoder=dict(GEMMA), decoder=dict(GEMMA), vocab_size=128,
                    attn_implementation="eager",
                )  # fmt: skip
                model = transformers.T5GemmaForConditionalGeneration(config)
            with torch.no_grad():
                for one in model.parameters():
                    one.add_(torch.randn_like(one) * 0.05)
            folder = tmp_path_factory.mktemp(name)
            model.save_pretrained(folder)
            made[name] = model.double().eval(), folder
        return made[name]

    return save


def batch():
    rng = np.random.default_rng(2)
    made = {}
    for stack, lengths in (("encoder", INPUTS), ("decoder", TARGETS)):
        segments = (np.arange(lengths[0]) < np.array(lengths)[:, None]).astype(np.int32)
        tokens = rng.integers(3, 128, segments.shape).astype(np.int32) * segments
        made[stack] = {"tokens": tokens, "segments": segments}
    made["decoder"]["tokens"][:, 0] = 0
    return made


def theirs(model):
    import torch

    both = batch()
    given = {}
    for stack, prefix in (("encoder", ""), ("decoder", "decoder_")):
        given[f"{prefix}input_ids"] = both[stack]["tokens"]
        given[f"{prefix}attention_mask"] = both[stack]["segments"]
    with torch.no_grad():
        found = model(**{k: torch.as_tensor(v.astype(np.int64)) for k, v in given.items()})
    return found.logits.numpy()


def ours(folder):
    found = huggingface.open_directory(str(folder))
    with jax.enable_x64(True):
        model = build(dataclasses.replace(found.arch, dtype="float64"))
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shapes = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), model.shapes
        )
        params = parameters(found.leaves, shapes)
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
        run = jax.jit(lambda p, b: model.logits(p, model.forward(p, b)[0]))
        result = np.asarray(run(params, batch()))
    assert result.dtype == np.float64
    return result


def apart(one, other):
    inside = batch()["decoder"]["segments"] > 0
    return np.abs(one - other)[inside].max() / np.abs(other[inside]).max()


@pytest.mark.parametrize("name", ["switch", "t5gemma"])
def test_logits_are_theirs_and_come_back(name, saved, tmp_path):
    import torch
    import transformers

    model, folder = saved(name)
    want = theirs(model)
    assert want.dtype == np.float64 and np.isfinite(want[batch()["decoder"]["segments"] > 0]).all()
    found = apart(ours(folder), want)
    print(f"{name}: {found:.1e}")
    assert found < 1e-6  # theirs computes norms, rotary angles and routers in float32
    opened = huggingface.open_directory(str(folder))
    huggingface.write_directory(str(tmp_path), opened.arch, opened.leaves, None)
    again = huggingface.open_directory(str(tmp_path))
    assert again.arch == opened.arch
    for path, leaf in opened.leaves.items():
        assert np.array_equal(leaf.whole(), again.leaves[path].whole()), path
    config = json.loads((tmp_path / "config.json").read_text())
    loaded, report = getattr(transformers, config["architectures"][0]).from_pretrained(
        tmp_path, dtype=torch.float64, attn_implementation="eager", output_loading_info=True
    )
    assert not report["unexpected_keys"] and not report["mismatched_keys"], report
    assert apart(theirs(loaded.eval()), want) < 1e-12


@pytest.mark.parametrize(
    "name, change, named",
    [
        ("switch", {"num_sparse_decoder_layers": 2}, "every 2th layer of the encoder is sparse"),
        ("switch", {"router_bias": True}, "router_bias is True; t2t computes False only"),
        ("switch", {"num_experts": 5}, "experts.expert_4.wi.weight"),
        ("t5gemma", {"encoder": {**GEMMA, "hidden_size": 48}}, "hidden_size|d_model"),
        ("t5gemma", {"encoder": None}, "not the configuration of a stack"),
        ("t5gemma", {"model_type": "switch_transformers"}, "num_layers is None"),
    ],
)
def test_what_it_cannot_be_is_refused_in_one_line(name, change, named, saved, tmp_path):
    _, folder = saved(name)
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(UserError, match=named) as error:
        huggingface.open_directory(str(tmp_path))
    assert "\n" not in str(error.value)
