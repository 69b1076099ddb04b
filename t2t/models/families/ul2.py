"""UL2 and Flan-UL2 (arXiv:2205.05131): T5 v1.1 with a SiLU gate, few wide heads, 20 billion."""

from t2t.models.architecture import Architecture
from t2t.models.families import t5_1_1
from t2t.models.families.t5 import huggingface_weights, size_of

__all__ = ["SIZES", "architecture", "huggingface_weights"]

# size -> (layers of each stack, d_model, heads, head_dim, d_ff)
SIZES = {"20b": (32, 4096, 16, 256, 16384)}


def architecture(size: str, **changes) -> Architecture:
    """The one published size; the vocabulary is T5's."""
    layers, d_model, heads, head_dim, d_ff = size_of(SIZES, "ul2", size)
    axes = {
        "d_model": d_model,
        "heads": heads,
        "head_dim": head_dim,
        "d_ff": d_ff,
        "encoder_layers": layers,
        "decoder_layers": layers,
        "activation": "silu",
    }
    return t5_1_1.architecture("base", **{**axes, **changes})
