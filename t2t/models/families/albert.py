"""ALBERT (Lan et al. 2019): BERT with one layer for all, a narrow embedding, and sentence order."""

from t2t.models.architecture import Architecture
from t2t.models.families import bert
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, affine, normed

# size -> (layers, d_model, heads)
SIZES = {
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
    "xlarge": (24, 2048, 16),
    "xxlarge": (12, 4096, 64),
}
VOCABULARY = 30000


def architecture(size: str, **changes) -> Architecture:
    """Embedding of 128, one group of layers, tanh GELU."""
    axes = {
        "vocab_size": 30080,
        "d_embedding": 128,
        "layer_groups": 1,
        "activation": "gelu_tanh",
        "dropout": 0.0,
    }
    return bert.encoder(*size_of(SIZES, "albert", size), **{**axes, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of AlbertForPreTraining (or ForMaskedLM, ForQuestionAnswering,
    ForSequenceClassification), without copies."""
    weights = [
        *bert.embeddings("albert", arch),
        *affine("albert.encoder.embedding_hidden_mapping_in", ("embedding_projection",)),
        *bert.span_head(arch),
    ]
    if arch.head == "masked":
        weights += affine("predictions.dense", ("masked_head", "dense"))
        weights += normed("predictions.LayerNorm", ("masked_head", "norm"))
        weights.append(PublishedWeight("predictions.bias", ("vocabulary_bias", "bias")))
    parts = {
        "attention.query": ("self_attention", "query"),
        "attention.key": ("self_attention", "key"),
        "attention.value": ("self_attention", "value"),
        "attention.dense": ("self_attention", "out"),
        "ffn": ("feed_forward", "wi"),
        "ffn_output": ("feed_forward", "wo"),
    }
    norms = {
        "attention.LayerNorm": "post_attention_norm",
        "full_layer_layer_norm": "post_feed_forward_norm",
    }
    for i in range(arch.layer_groups or arch.encoder_layers):
        there = f"albert.encoder.albert_layer_groups.{i}.albert_layers.0"
        weights += bert.layer(there, parts, norms, i)
    last = "classifier" if bert.classifies(arch) else "sop_classifier.classifier"
    return weights + bert.pair_head(arch, "albert.pooler", last)
