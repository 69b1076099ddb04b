"""T5 v1.1 (also LM-adapted and Flan-T5): gated GELU, separate head, no dropout in pre-training."""

from dataclasses import replace

from t2t.models.architecture import Architecture
from t2t.models.families.t5 import huggingface_weights, size_of

__all__ = ["SIZES", "architecture", "huggingface_weights"]

# size -> (layers of each stack, d_model, heads, d_ff); head_dim is 64
SIZES = {
    "small": (8, 512, 6, 1024),
    "base": (12, 768, 12, 2048),
    "large": (24, 1024, 16, 2816),
    "xl": (24, 2048, 32, 5120),
    "xxl": (24, 4096, 64, 10240),
}


def architecture(size: str, **changes) -> Architecture:
    """Sizes of the published gin files (t5x/examples/t5/t5_1_1)."""
    layers, d_model, heads, d_ff = size_of(SIZES, "t5_1_1", size)
    arch = Architecture(
        vocab_size=32128,
        d_model=d_model,
        heads=heads,
        head_dim=64,
        d_ff=d_ff,
        encoder_layers=layers,
        decoder_layers=layers,
        activation="gelu_tanh",
        gated=True,
    )
    return replace(arch, **changes)
