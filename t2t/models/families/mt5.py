"""mT5 (arXiv:2010.11934): T5 v1.1 with a vocabulary for 101 languages."""

from t2t.models.architecture import Architecture
from t2t.models.families import t5_1_1
from t2t.models.families.t5 import huggingface_weights, size_of

__all__ = ["SIZES", "architecture", "huggingface_weights"]

SIZES = t5_1_1.SIZES


def architecture(size: str, **changes) -> Architecture:
    """The shapes of T5 v1.1, 250,112 rows of vocabulary."""
    size_of(SIZES, "mt5", size)
    return t5_1_1.architecture(size, **{"vocab_size": 250112, **changes})
