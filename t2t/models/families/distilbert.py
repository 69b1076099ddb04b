"""DistilBERT (Sanh et al. 2019): half of BERT's layers, without segment types and pairs."""

from t2t.models.architecture import Architecture
from t2t.models.families import bert
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, affine, normed

SIZES = {"base": (6, 768, 12)}
VOCABULARY = bert.VOCABULARY


def architecture(size: str, **changes) -> Architecture:
    """Six layers of BERT base; classifiers pool by ReLU."""
    axes = {"token_types": 0, "pair_classes": 0, "pooler_activation": "relu"}
    return bert.encoder(*size_of(SIZES, "distilbert", size), **{**axes, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of DistilBertForMaskedLM (or ForQuestionAnswering, ForSequenceClassification), without
    tied copies."""
    weights = [*bert.embeddings("distilbert", arch), *bert.span_head(arch)]
    if arch.head == "masked":
        weights += affine("vocab_transform", ("masked_head", "dense"))
        weights += normed("vocab_layer_norm", ("masked_head", "norm"))
        weights.append(PublishedWeight("vocab_projector.bias", ("vocabulary_bias", "bias")))
    parts = {
        "attention.q_lin": ("self_attention", "query"),
        "attention.k_lin": ("self_attention", "key"),
        "attention.v_lin": ("self_attention", "value"),
        "attention.out_lin": ("self_attention", "out"),
        "ffn.lin1": ("feed_forward", "wi"),
        "ffn.lin2": ("feed_forward", "wo"),
    }
    norms = {"sa_layer_norm": "post_attention_norm", "output_layer_norm": "post_feed_forward_norm"}
    for i in range(arch.encoder_layers):
        weights += bert.layer(f"distilbert.transformer.layer.{i}", parts, norms, i)
    return weights + bert.pair_head(arch, "pre_classifier", "classifier")
