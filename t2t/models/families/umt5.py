"""umT5 (UniMax, arXiv:2304.09151): mT5 with a position bias in every layer."""

from t2t.models.architecture import Architecture
from t2t.models.families import t5_1_1
from t2t.models.families.t5 import huggingface_weights, size_of

__all__ = ["SIZES", "architecture", "huggingface_weights"]

# No large model was published.
SIZES = {size: t5_1_1.SIZES[size] for size in ("small", "base", "xl", "xxl")}


def architecture(size: str, **changes) -> Architecture:
    """256,384 rows of vocabulary; logits unscaled, as T5X trained it.

    `transformers` 5 multiplies umT5's logits by d_model ** -0.5 although the published weights
    were trained without: `scaled_logits=True` reproduces that.
    """
    size_of(SIZES, "umt5", size)
    axes = {"vocab_size": 256384, "relative_bias": "per_layer"}
    return t5_1_1.architecture(size, **{**axes, **changes})
