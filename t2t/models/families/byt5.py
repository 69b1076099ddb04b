"""ByT5 (arXiv:2105.13626): bytes in and out, an encoder three times as deep as the decoder."""

from dataclasses import replace

from t2t.models.architecture import Architecture
from t2t.models.families.t5 import huggingface_weights, size_of

__all__ = ["SIZES", "architecture", "huggingface_weights"]

# size -> (encoder layers, decoder layers, d_model, heads, d_ff); head_dim is 64
SIZES = {
    "small": (12, 4, 1472, 6, 3584),
    "base": (18, 6, 1536, 12, 3968),
    "large": (36, 12, 1536, 16, 3840),
    "xl": (36, 12, 2560, 32, 6720),
    "xxl": (36, 12, 4672, 64, 12352),
}


def architecture(size: str, **changes) -> Architecture:
    """Sizes of the published gin files (t5x/examples/t5/byt5); 259 bytes and marks, padded."""
    encoder_layers, decoder_layers, d_model, heads, d_ff = size_of(SIZES, "byt5", size)
    arch = Architecture(
        vocab_size=384,
        d_model=d_model,
        heads=heads,
        head_dim=64,
        d_ff=d_ff,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        activation="gelu_tanh",
        gated=True,
    )
    return replace(arch, **changes)
