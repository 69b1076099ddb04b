"""Megatron-LM's GPT (Shoeybi et al. 2019): GPT-2 with other sizes."""

from t2t.models.architecture import Architecture
from t2t.models.families import gpt2
from t2t.models.families.gpt2 import huggingface_weights
from t2t.models.families.t5 import size_of

__all__ = ["SIZES", "architecture", "huggingface_weights"]

# size -> (layers, d_model, heads)
SIZES = {
    "355m": (24, 1024, 16),
    "2.5b": (54, 1920, 20),
    "8.3b": (72, 3072, 24),
}


def architecture(size: str, **changes) -> Architecture:
    """GPT-2's vocabulary padded to 51,200 rows, 1,024 positions."""
    shape = size_of(SIZES, "megatron_gpt", size)
    return gpt2.decoder(*shape, **{"vocab_size": 51200, **changes})
