"""ELECTRA (Clark et al. 2020): a discriminator of replaced tokens, and the generator of them."""

from t2t.models.architecture import Architecture
from t2t.models.families import bert
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, affine, normed

# size -> (layers, d_model, heads, width of the embedding, what of the width the generator has)
SIZES = {
    "small": (12, 256, 4, 128, 4),
    "base": (12, 768, 12, 768, 3),
    "large": (24, 1024, 16, 1024, 4),
}
VOCABULARY = bert.VOCABULARY


def architecture(size: str, **changes) -> Architecture:
    """The discriminator, which is what is kept: a logit a token; classifiers pool by GELU."""
    layers, d_model, heads, width, _ = size_of(SIZES, "electra", size)
    axes = {
        "d_embedding": width if width != d_model else 0,
        "head": "replaced",
        "vocabulary_bias": False,
        "pair_classes": 0,
        "pooler_activation": "gelu",
    }
    return bert.encoder(layers, d_model, heads, **{**axes, **changes})


def generator(size: str, **changes) -> Architecture:
    """The generator: narrower, as deep, with the discriminator's embedding, a masked language model."""
    layers, d_model, heads, width, share = size_of(SIZES, "electra", size)
    axes = {"d_embedding": width, "pair_classes": 0, "pooler_activation": "gelu"}
    return bert.encoder(layers, d_model // share, heads // share, **{**axes, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of ElectraForPreTraining, ForMaskedLM, ForQuestionAnswering or
    ForSequenceClassification, without tied copies."""
    weights = [*bert.embeddings("electra", arch), *bert.layers("electra", arch)]
    weights += bert.span_head(arch)
    weights += bert.pair_head(arch, "classifier.dense", "classifier.out_proj")
    if arch.d_embedding:
        weights += affine("electra.embeddings_project", ("embedding_projection",))
    if arch.head == "replaced":
        weights += affine("discriminator_predictions.dense", ("replaced_head", "dense"))
        weights += affine("discriminator_predictions.dense_prediction", ("replaced_head", "logit"))
    if arch.head == "masked":
        weights += affine("generator_predictions.dense", ("masked_head", "dense"))
        weights += normed("generator_predictions.LayerNorm", ("masked_head", "norm"))
        weights.append(PublishedWeight("generator_lm_head.bias", ("vocabulary_bias", "bias")))
    return weights
