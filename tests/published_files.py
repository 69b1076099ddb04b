"""Tiny T5s as Hugging Face and T5X store them, written with those formats' own libraries.

Names and shapes are typed out here, not taken from t2t's name maps.
"""

import json
import pathlib

import ml_dtypes
import numpy as np

CONFIG = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "vocab_size": 384,
    "d_model": 16,
    "num_heads": 2,
    "d_kv": 4,
    "d_ff": 24,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "dropout_rate": 0.1,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
BYTES = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}


def huggingface_tensors(config: dict, tied: bool, per_layer: bool = False) -> dict:
    """Returns random tensors by Hugging Face's names; linears are [out, in]."""
    rng = np.random.default_rng(0)
    width, wide = config["d_model"], config["d_ff"]
    inner = config["num_heads"] * config["d_kv"]

    def draw(*shape):
        return (0.5 * rng.normal(size=shape)).astype(np.float32)

    tensors = {"shared.weight": draw(config["vocab_size"], width)}
    if not tied:
        tensors["lm_head.weight"] = draw(config["vocab_size"], width)
    for stack in ("encoder", "decoder"):
        count = config["num_layers"] if stack == "encoder" else config["num_decoder_layers"]
        for i in range(count):
            names = ["SelfAttention"] + ["EncDecAttention"] * (stack == "decoder")
            for j, name in enumerate(names):
                at = f"{stack}.block.{i}.layer.{j}"
                for part in "qkv":
                    tensors[f"{at}.{name}.{part}.weight"] = draw(inner, width)
                tensors[f"{at}.{name}.o.weight"] = draw(width, inner)
                tensors[f"{at}.layer_norm.weight"] = 1 + draw(width)
            at = f"{stack}.block.{i}.layer.{len(names)}"
            gated = config["feed_forward_proj"].startswith("gated")
            for part in ("wi_0", "wi_1") if gated else ("wi",):
                tensors[f"{at}.DenseReluDense.{part}.weight"] = draw(wide, width)
            tensors[f"{at}.DenseReluDense.wo.weight"] = draw(width, wide)
            tensors[f"{at}.layer_norm.weight"] = 1 + draw(width)
            if i == 0 or per_layer:
                name = f"{stack}.block.{i}.layer.0.SelfAttention.relative_attention_bias.weight"
                tensors[name] = draw(32, config["num_heads"])
        tensors[f"{stack}.final_layer_norm.weight"] = 1 + draw(width)
    return tensors


def write_huggingface(
    folder: pathlib.Path,
    changes: dict | None = None,
    *,
    tied: bool = False,
    per_layer: bool = False,
    dtype=np.float32,
    edit=lambda tensors: None,
    tokenizer: dict | None = BYTES,
) -> dict:
    """Writes a directory; returns its tensors. edit(tensors) changes them before they are written."""
    from safetensors.numpy import save_file

    config = {**CONFIG, **(changes or {})}
    config = {key: value for key, value in config.items() if value is not None}
    tensors = huggingface_tensors({**CONFIG, **config}, tied, per_layer)
    tensors = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    edit(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if tokenizer is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return tensors


def t5x_target(tensors: dict, config: dict) -> dict:
    """Returns Hugging Face's tensors as T5X's plain tree: `layers_0`, kernels [in, out]."""
    target: dict = {}

    def put(name: str, array: np.ndarray) -> None:
        node = target
        *parts, last = name.split("/")
        for part in parts:
            node = node.setdefault(part, {})
        node[last] = np.ascontiguousarray(array)

    put("token_embedder/embedding", tensors["shared.weight"])
    if "lm_head.weight" in tensors:
        put("decoder/logits_dense/kernel", tensors["lm_head.weight"].T)
    long = {"q": "query", "k": "key", "v": "value", "o": "out"}
    for stack, attentions in (
        ("encoder", [("SelfAttention", "attention", "pre_attention_layer_norm")]),
        (
            "decoder",
            [
                ("SelfAttention", "self_attention", "pre_self_attention_layer_norm"),
                ("EncDecAttention", "encoder_decoder_attention", "pre_cross_attention_layer_norm"),
            ],
        ),
    ):
        count = config["num_layers"] if stack == "encoder" else config["num_decoder_layers"]
        for i in range(count):
            for j, (theirs, name, norm) in enumerate(attentions):
                at = f"{stack}.block.{i}.layer.{j}"
                for part in "qkvo":
                    kernel = tensors[f"{at}.{theirs}.{part}.weight"].T
                    put(f"{stack}/layers_{i}/{name}/{long[part]}/kernel", kernel)
                put(f"{stack}/layers_{i}/{norm}/scale", tensors[f"{at}.layer_norm.weight"])
            at = f"{stack}.block.{i}.layer.{len(attentions)}"
            for part in ("wi", "wi_0", "wi_1", "wo"):
                name = f"{at}.DenseReluDense.{part}.weight"
                if name in tensors:
                    put(f"{stack}/layers_{i}/mlp/{part}/kernel", tensors[name].T)
            scale = tensors[f"{at}.layer_norm.weight"]
            put(f"{stack}/layers_{i}/pre_mlp_layer_norm/scale", scale)
            bias = f"{stack}.block.{i}.layer.0.SelfAttention.relative_attention_bias.weight"
            later = f"{stack}.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
            if bias in tensors:
                layer = f"layers_{i}/" if later in tensors else ""
                put(f"{stack}/{layer}relpos_bias/rel_embedding", tensors[bias].T)
        put(f"{stack}/{stack}_norm/scale", tensors[f"{stack}.final_layer_norm.weight"])
    return target


def scanned(target: dict, heads: int) -> dict:
    """Returns T5X's plain tree as scalable_t5 has it: layers on axis 1, heads an axis of their own."""
    result = {"token_embedder": target["token_embedder"]}
    for stack in ("encoder", "decoder"):
        rest = {k: v for k, v in target[stack].items() if not k.startswith("layers_")}
        layers = [target[stack][f"layers_{i}"] for i in range(len(target[stack]) - len(rest))]
        result[stack] = {**rest, stack: _scan(layers, heads)}
    return result


def _scan(layers: list[dict], heads: int) -> dict:
    result = {}
    for key, value in layers[0].items():
        below = [layer[key] for layer in layers]
        if (
            isinstance(value, dict)
            and "kernel" in value
            and key in ("query", "key", "value", "out")
        ):
            kernels = [tree["kernel"] for tree in below]
            inner = (heads, -1)
            split = [
                k.reshape(*inner, k.shape[1]) if key == "out" else k.reshape(k.shape[0], *inner)
                for k in kernels
            ]
            result[key] = {"kernel": np.stack(split, axis=1)}
        elif isinstance(value, dict):
            result[key] = _scan(below, heads)
        else:
            result[key] = np.stack(below, axis=1)
    return result


def write_t5x(folder: pathlib.Path, target: dict, step: int = 7, tensorstore: bool = True) -> None:
    """Writes `folder/checkpoint_STEP` as t5x/checkpoints.py does.

    tensorstore: every parameter a gzipped zarr array and a spec with a relative path in the msgpack;
    otherwise arrays stand in the msgpack itself.
    """
    from flax import serialization

    where = folder / f"checkpoint_{step}"
    where.mkdir(parents=True)

    def written(tree: dict, prefix: str) -> dict:
        if isinstance(tree, dict):
            return {key: written(value, f"{prefix}.{key}") for key, value in tree.items()}
        return _write_zarr(where, prefix, tree)

    stored = written(target, "target") if tensorstore else target
    state = {"step": np.int32(step), "param_states": {}}
    content = {"version": 3, "optimizer": {"target": stored, "state": state}}
    (where / "checkpoint").write_bytes(serialization.msgpack_serialize(content))


def _write_zarr(folder: pathlib.Path, name: str, array: np.ndarray) -> dict:
    import tensorstore as ts

    # Chunks that divide the shape and are smaller than it, as those of a partitioned array are.
    chunks = [size // 2 if size % 2 == 0 else size for size in array.shape]
    metadata = {
        "compressor": {"id": "gzip", "level": 1},
        "shape": list(array.shape),
        "chunks": chunks,
    }
    dtype = "bfloat16" if array.dtype == ml_dtypes.bfloat16 else array.dtype.name
    spec = {
        "driver": "zarr",
        "dtype": dtype,
        "kvstore": {"driver": "file", "path": str(folder / name)},
        "metadata": metadata,
    }
    ts.open(spec, create=True).result().write(array).result()
    return {**spec, "kvstore": {"driver": "gfile", "path": f"{name}/"}}
