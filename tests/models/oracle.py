"""The NumPy transformer of ../shared/reference, fed with parameters of ours under its names."""

import dataclasses
import importlib.util
import pathlib
import sys

import jax
import numpy as np
import pytest

from t2t.models.transformer import build

_FILE = pathlib.Path(__file__).parents[2].parent / "shared" / "reference" / "model_oracle.py"
_TOP = {
    "token_embedding/table": "emb.tok",
    "decoder_token_embedding/table": "demb.tok",
    "position_embedding/table": "emb.pos",
    "type_embedding/table": "emb.type",
    "task_embedding/table": "emb.task",
    "embedding_norm": "emb.norm",
    "embedding_projection": "emb.proj",
    "lm_head/kernel": "head.out.w",
    "vocabulary_bias/bias": "head.out.b",
    "masked_head/dense": "head.dense",
    "masked_head/norm": "head.norm",
    "replaced_head/dense": "head.dense",
    "replaced_head/logit": "head.cls",
    "pair_head/pooler": "pool",
    "pair_head/classifier": "nsp",
}
_LAYER = {
    "self_attention/query": "self.q",
    "self_attention/key": "self.k",
    "self_attention/value": "self.v",
    "self_attention/out": "self.o",
    "cross_attention/query": "cross.q",
    "cross_attention/key": "cross.k",
    "cross_attention/value": "cross.v",
    "cross_attention/out": "cross.o",
    "pre_attention_norm": "n1",
    "pre_cross_attention_norm": "n2",
    "pre_feed_forward_norm": "n3",
    "feed_forward/wi": "ffn.i",
    "feed_forward/wi_0": "ffn.g",
    "feed_forward/wi_1": "ffn.i",
    "feed_forward/wo": "ffn.out",
}
_LAST = {"kernel": ".w", "scale": ".w", "bias": ".b", "table": ""}


def load():
    """The module; skips where the reference folder is not beside the checkout."""
    if not _FILE.is_file():
        pytest.skip("the shared reference folder is not beside this checkout")
    spec = importlib.util.spec_from_file_location("model_oracle", _FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def axes(oracle, arch):
    """Its value for an architecture of ours."""

    def stack(layers, mask, cross):
        window = [None if (i + 1) % arch.window_every == 0 else arch.window for i in range(layers)]
        window = window if arch.window else None
        sparse = range(min(1, arch.expert_every - 1), layers, arch.expert_every)
        sparse = tuple(sparse) if arch.experts else ()
        return oracle.Stack(layers, mask, cross, window, sparse) if layers else None

    both = bool(arch.encoder_layers and arch.decoder_layers)
    groups = arch.layer_groups
    return oracle.Arch(
        d=arch.d_model,
        heads=arch.heads,
        d_ff=arch.d_ff,
        vocab=arch.vocab_size,
        enc=stack(arch.encoder_layers, "bidir", False),
        dec=stack(arch.decoder_layers, "causal", both),
        d_head=arch.head_dim,
        kv_heads=arch.key_heads,
        d_emb=arch.embedding_width,
        emb_scale=arch.d_model**0.5 if arch.scaled_embedding else 1.0,
        n_types=arch.token_types,
        n_tasks=arch.task_types,
        pos="learned" if arch.learned_positions else "rope" if arch.rotary_base else "t5",
        buckets=arch.relative_buckets,
        max_dist=arch.relative_max_distance,
        bias_share=arch.relative_bias == "shared",
        rope_theta=arch.rotary_base,
        norm={"layer": "ln", "rms_plus_one": "rms1p"}.get(arch.norm, arch.norm),
        eps=arch.norm_epsilon,
        place={"before": "pre", "after": "post", "around": "sandwich"}[arch.norm_place],
        emb_norm=arch.embedding_norm,
        scale=(arch.query_scalar or arch.head_dim) ** -0.5 if arch.scaled_attention else 1.0,
        scale_by_layer=arch.layer_scaled_attention,
        softcap=arch.attention_softcap or None,
        act=arch.activation,
        gated=arch.gated,
        capacity=arch.expert_capacity,
        share=[i * groups // arch.encoder_layers for i in range(arch.encoder_layers)]
        if groups
        else None,
        head={"masked": "mlm", "replaced": "rtd", "vocabulary": "lm"}[arch.head],
        out_scale=arch.d_model**-0.5 if arch.scaled_logits else 1.0,
        out_softcap=arch.logits_softcap or None,
    )


def parameters(arch, params) -> dict:
    """Ours by its names, [in, out] as ours; position tables stand in layer 0 there."""
    result = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = "/".join(key.key for key in path)
        stem, _, last = name.rpartition("/")
        array = np.asarray(leaf, np.float64)
        if name in _TOP:
            key = _TOP[name]
            if key == "emb.pos":
                array = array[arch.first_position :]
            result[key] = array
        elif stem in _TOP:
            result[_TOP[stem] + _LAST[last]] = array
        else:
            stack, _, stem = stem.partition("/")
            at = {"encoder": "enc", "decoder": "dec"}[stack]
            if stem == "final_norm":
                result[f"{at}.final{_LAST[last]}"] = array
            elif stem == "relative_bias":
                result[f"{at}.0.self.relbias"] = array.T
            else:
                stem, slot, every = stem.removeprefix("layers/"), 0, 1
                if stem.startswith("slot_"):
                    slot, every = int(stem[5]), arch.expert_every
                    stem = stem[7:]
                if stem == "feed_forward" and last != "router":  # of experts
                    for i, layer in enumerate(array):
                        for j, one in enumerate(layer):
                            name = {"wi": "i", "wo": "out"}[last]
                            result[f"{at}.{i * every + slot}.ffn.{j}.{name}.w"] = one
                    continue
                for i, one in enumerate(array):
                    i = i * every + slot
                    if last == "router":
                        result[f"{at}.{i}.ffn.router.w"] = one
                        continue
                    if stem == "relative_bias":
                        result[f"{at}.{i}.self.relbias"] = one.T
                        continue
                    key = _LAYER.get(stem) or _post(arch, stem)
                    result[f"{at}.{i}.{key}{_LAST[last]}"] = one
    if arch.separate_embeddings and arch.tied_embedding:
        result["head.out.w"] = result["demb.tok"].T
    return result


def _post(arch, stem):
    key = _LAYER[stem.replace("post_", "pre_")]
    return key if arch.norm_place == "after" else f"{key}_post"


def moved(arch, seed=0, amount=0.2):
    """(float64 model, random parameters, no scale 1 and no bias 0)."""
    model = build(dataclasses.replace(arch, dtype="float64"))
    rng = np.random.default_rng(seed)
    begin = {"scale": float(arch.norm != "rms_plus_one")}

    def one(path, leaf):
        return begin.get(path[-1].key, 0.0) + amount * rng.normal(size=leaf.shape)

    return model, jax.tree_util.tree_map_with_path(one, model.shapes)
