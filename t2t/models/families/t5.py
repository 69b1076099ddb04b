"""T5 v1.0 (arXiv:1910.10683) and the published names of T5-like weights."""

from dataclasses import replace

from t2t.errors import UserError, nearest
from t2t.models.architecture import Architecture
from t2t.models.published_weight import PublishedWeight

# size -> (layers of each stack, d_model, heads, head_dim, d_ff)
SIZES = {
    "small": (6, 512, 8, 64, 2048),
    "base": (12, 768, 12, 64, 3072),
    "large": (24, 1024, 16, 64, 4096),
    "3b": (24, 1024, 32, 128, 16384),
    "11b": (24, 1024, 128, 128, 65536),
}


def architecture(size: str, **changes) -> Architecture:
    """ReLU, one table for input and output with scaled logits, dropout 0.1 in pre-training."""
    layers, d_model, heads, head_dim, d_ff = size_of(SIZES, "t5", size)
    arch = Architecture(
        vocab_size=32128,
        d_model=d_model,
        heads=heads,
        head_dim=head_dim,
        d_ff=d_ff,
        encoder_layers=layers,
        decoder_layers=layers,
        activation="relu",
        gated=False,
        tied_embedding=True,
        scaled_logits=True,
        dropout=0.1,
    )
    return replace(arch, **changes)


def size_of(sizes: dict, family: str, size: str):
    """The row of `size`, or a UserError that lists what there is."""
    if size not in sizes:
        raise UserError(
            f"{family}: no size {size!r}{nearest(size, sizes)}; sizes are {', '.join(sizes)}"
        )
    return sizes[size]


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of T5, mT5, umT5 and ByT5 in `transformers`, without tied copies."""
    weights = [PublishedWeight("shared.weight", ("token_embedding", "table"), None, False)]
    if not arch.tied_embedding:
        weights.append(PublishedWeight("lm_head.weight", ("lm_head", "kernel"), None, True))

    attention = {"q": "query", "k": "key", "v": "value", "o": "out"}
    matrices = ("wi_0", "wi_1", "wo") if arch.gated else ("wi", "wo")
    for stack, layers in (("encoder", arch.encoder_layers), ("decoder", arch.decoder_layers)):
        parts = [("self_attention", "SelfAttention", "pre_attention_norm")]
        if stack == "decoder":
            parts.append(("cross_attention", "EncDecAttention", "pre_cross_attention_norm"))

        def in_layer(name, path, layer, transposed, stack=stack):
            path = (stack, "layers", *path)
            name = f"{stack}.block.{layer}.layer.{name}.weight"
            weights.append(PublishedWeight(name, path, layer, transposed))

        for layer in range(layers):
            for i, (ours, theirs, norm) in enumerate(parts):
                for short, long in attention.items():
                    in_layer(f"{i}.{theirs}.{short}", (ours, long, "kernel"), layer, True)
                in_layer(f"{i}.layer_norm", (norm, "scale"), layer, False)
            last = len(parts)
            for name in matrices:
                path = ("feed_forward", name, "kernel")
                in_layer(f"{last}.DenseReluDense.{name}", path, layer, True)
            in_layer(f"{last}.layer_norm", ("pre_feed_forward_norm", "scale"), layer, False)
            if arch.relative_bias == "per_layer":
                name = "0.SelfAttention.relative_attention_bias"
                in_layer(name, ("relative_bias", "table"), layer, True)
        if arch.relative_bias == "shared":
            name = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            path = (stack, "relative_bias", "table")
            weights.append(PublishedWeight(name, path, None, True))
        name = f"{stack}.final_layer_norm.weight"
        weights.append(PublishedWeight(name, (stack, "final_norm", "scale"), None, False))
    return weights
