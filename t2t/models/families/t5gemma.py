"""T5Gemma (2025): Gemma 2 as an encoder and a decoder, each with its own table."""

from dataclasses import replace

from t2t.models.architecture import Architecture
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight

# size -> (layers of each stack, d_model, heads, heads of keys, d_ff); head_dim is 256
SIZES = {
    "2b-2b": (26, 2304, 8, 4, 9216),
    "9b-9b": (42, 3584, 16, 8, 14336),
}
_KERNELS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "out"}
_MATRICES = {"gate_proj": "wi_0", "up_proj": "wi_1", "down_proj": "wo"}


def architecture(size: str, **changes) -> Architecture:
    """Norms around each sub-layer, rotary positions, every other layer a window, capped logits."""
    layers, d_model, heads, kv_heads, d_ff = size_of(SIZES, "t5gemma", size)
    arch = Architecture(
        vocab_size=256000,
        d_model=d_model,
        heads=heads,
        head_dim=256,
        d_ff=d_ff,
        encoder_layers=layers,
        decoder_layers=layers,
        activation="gelu_tanh",
        gated=True,
        kv_heads=kv_heads,
        scaled_attention=True,
        attention_softcap=50.0,
        window=4096,
        relative_bias="none",
        rotary_base=1e4,
        norm="rms_plus_one",
        norm_place="around",
        tied_embedding=True,
        logits_softcap=30.0,
        scaled_embedding=True,
        separate_embeddings=True,
        initialization="normal",
    )
    return replace(arch, **changes)


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of T5GemmaForConditionalGeneration without its tied copy."""
    weights = []

    def put(name: str, *path: str, layer: int | None = None, transposed: bool = False) -> None:
        weights.append(PublishedWeight(f"model.{name}.weight", path, layer, transposed))

    put("encoder.embed_tokens", "token_embedding", "table")
    put("decoder.embed_tokens", "decoder_token_embedding", "table")
    if not arch.tied_embedding:
        head = PublishedWeight("lm_head.out_proj.weight", ("lm_head", "kernel"), transposed=True)
        weights.append(head)
    attentions = {"self_attn": "attention", "cross_attn": "cross_attention"}
    for stack, layers in (("encoder", arch.encoder_layers), ("decoder", arch.decoder_layers)):
        found = list(attentions.items())[: 1 + (stack == "decoder")]
        for layer in range(layers):
            at, ours = f"{stack}.layers.{layer}", (stack, "layers")
            for theirs, name in found:
                module = "self_attention" if theirs == "self_attn" else name
                for short, long in _KERNELS.items():
                    path = (*ours, module, long, "kernel")
                    put(f"{at}.{theirs}.{short}", *path, layer=layer, transposed=True)
            for short, long in _MATRICES.items():
                path = (*ours, "feed_forward", long, "kernel")
                put(f"{at}.mlp.{short}", *path, layer=layer, transposed=True)
            for theirs, name in (*found, ("feedforward", "feed_forward")):
                for place in ("pre", "post"):
                    path = (*ours, f"{place}_{name}_norm", "scale")
                    put(f"{at}.{place}_{theirs}_layernorm", *path, layer=layer)
        put(f"{stack}.norm", stack, "final_norm", "scale")
    return weights
