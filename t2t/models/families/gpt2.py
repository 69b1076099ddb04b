"""GPT-2 (Radford et al. 2019), and its names in `transformers`; Megatron's and Turing's GPT are so too."""

from dataclasses import replace

from t2t.models.architecture import Architecture
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, affine, normed

# size -> (layers, d_model, heads)
SIZES = {
    "small": (12, 768, 12),
    "medium": (24, 1024, 16),
    "large": (36, 1280, 20),
    "xl": (48, 1600, 25),
}
VOCABULARY = 50257  # published; models here pad it to a multiple of 128


def architecture(size: str, **changes) -> Architecture:
    """The published sizes, 1,024 positions."""
    return decoder(*size_of(SIZES, "gpt2", size), **changes)


def decoder(layers: int, d_model: int, heads: int, /, **changes) -> Architecture:
    """A pre-norm decoder with learned positions and tanh GELU."""
    arch = Architecture(
        vocab_size=50304,
        d_model=d_model,
        heads=heads,
        head_dim=d_model // heads,
        d_ff=4 * d_model,
        encoder_layers=0,
        decoder_layers=layers,
        activation="gelu_tanh",
        gated=False,
        biases=True,
        scaled_attention=True,
        relative_bias="none",
        learned_positions=1024,
        norm="layer",
        norm_epsilon=1e-5,
        tied_embedding=True,
        initialization="normal_residual",
        dropout=0.1,
        dropout_along_length=False,
    )
    return replace(arch, **changes)


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of GPT2LMHeadModel, without the tied head. Its linears are [in, out]."""
    weights = [
        PublishedWeight("transformer.wte.weight", ("token_embedding", "table")),
        PublishedWeight("transformer.wpe.weight", ("position_embedding", "table")),
        *normed("transformer.ln_f", ("decoder", "final_norm")),
    ]
    for i in range(arch.decoder_layers):
        theirs, ours = f"transformer.h.{i}", ("decoder", "layers")
        weights += normed(f"{theirs}.ln_1", (*ours, "pre_attention_norm"), i)
        for part, name in enumerate(("query", "key", "value")):
            for kind, leaf in (("weight", "kernel"), ("bias", "bias")):
                path = (*ours, "self_attention", name, leaf)
                fused = f"{theirs}.attn.c_attn.{kind}"
                weights.append(PublishedWeight(fused, path, i, part=(part, 3)))
        for name, path in (
            ("attn.c_proj", ("self_attention", "out")),
            ("mlp.c_fc", ("feed_forward", "wi")),
            ("mlp.c_proj", ("feed_forward", "wo")),
        ):
            weights += affine(f"{theirs}.{name}", (*ours, *path), i, transposed=False)
        weights += normed(f"{theirs}.ln_2", (*ours, "pre_feed_forward_norm"), i)
    return weights
