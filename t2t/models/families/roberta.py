"""RoBERTa (Liu et al. 2019): BERT without pairs, positions from the row after padding's."""

from t2t.models.architecture import Architecture
from t2t.models.families import bert
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, affine, normed

SIZES = {size: bert.SIZES[size] for size in ("base", "large")}
VOCABULARY = 50265


def architecture(size: str, **changes) -> Architecture:
    """514 rows of positions, the first two unused; one segment type."""
    axes = {
        "vocab_size": 50304,
        "learned_positions": 514,
        "first_position": 2,
        "token_types": 1,
        "pair_classes": 0,
        "norm_epsilon": 1e-5,
    }
    return bert.encoder(*size_of(SIZES, "roberta", size), **{**axes, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of RobertaForMaskedLM (or ForQuestionAnswering, ForSequenceClassification), without
    tied copies."""
    weights = [*bert.embeddings("roberta", arch), *bert.layers("roberta", arch)]
    if arch.head == "masked":
        weights += affine("lm_head.dense", ("masked_head", "dense"))
        weights += normed("lm_head.layer_norm", ("masked_head", "norm"))
        weights.append(PublishedWeight("lm_head.bias", ("vocabulary_bias", "bias")))
    weights += bert.pair_head(arch, "classifier.dense", "classifier.out_proj")
    return weights + bert.span_head(arch)
