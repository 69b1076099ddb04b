"""Llama (Touvron et al. 2023), the decoder of today, and its names in `transformers`."""

from dataclasses import replace

from t2t.models.architecture import Architecture
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight

# size -> (layers, d_model, heads, key and value heads, d_ff, vocabulary, rotary base, epsilon)
SIZES = {
    "7b": (32, 4096, 32, 0, 11008, 32000, 1e4, 1e-6),
    "13b": (40, 5120, 40, 0, 13824, 32000, 1e4, 1e-6),
    "65b": (80, 8192, 64, 0, 22016, 32000, 1e4, 1e-5),
    "3-8b": (32, 4096, 32, 8, 14336, 128256, 5e5, 1e-5),
}


def architecture(size: str, **changes) -> Architecture:
    """Rotary positions, RMS norm, gated SiLU, no bias, a head of its own."""
    layers, d_model, heads, kv_heads, d_ff, rows, base, epsilon = size_of(SIZES, "llama", size)
    arch = Architecture(
        vocab_size=rows,
        d_model=d_model,
        heads=heads,
        head_dim=d_model // heads,
        d_ff=d_ff,
        encoder_layers=0,
        decoder_layers=layers,
        activation="silu",
        kv_heads=kv_heads,
        scaled_attention=True,
        relative_bias="none",
        rotary_base=base,
        norm_epsilon=epsilon,
        initialization="normal",
        dropout_along_length=False,
    )
    return replace(arch, **changes)


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of LlamaForCausalLM."""
    weights = [
        PublishedWeight("model.embed_tokens.weight", ("token_embedding", "table")),
        PublishedWeight("model.norm.weight", ("decoder", "final_norm", "scale")),
    ]
    if not arch.tied_embedding:
        head = PublishedWeight("lm_head.weight", ("lm_head", "kernel"), transposed=True)
        weights.append(head)
    kernels = {
        "self_attn.q_proj": ("self_attention", "query"),
        "self_attn.k_proj": ("self_attention", "key"),
        "self_attn.v_proj": ("self_attention", "value"),
        "self_attn.o_proj": ("self_attention", "out"),
        "mlp.gate_proj": ("feed_forward", "wi_0"),
        "mlp.up_proj": ("feed_forward", "wi_1"),
        "mlp.down_proj": ("feed_forward", "wo"),
    }
    norms = {
        "input_layernorm": "pre_attention_norm",
        "post_attention_layernorm": "pre_feed_forward_norm",
    }
    for i in range(arch.decoder_layers):
        theirs, ours = f"model.layers.{i}", ("decoder", "layers")
        for name, path in kernels.items():
            path = (*ours, *path, "kernel")
            weights.append(PublishedWeight(f"{theirs}.{name}.weight", path, i, transposed=True))
        for name, norm in norms.items():
            weights.append(PublishedWeight(f"{theirs}.{name}.weight", (*ours, norm, "scale"), i))
    return weights
