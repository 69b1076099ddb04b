"""XLNet (Yang et al. 2019): a permutation language model on Transformer-XL's attention."""

from t2t.models.architecture import Architecture
from t2t.models.families import bert
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, affine, normed

# size -> (layers, d_model, heads)
SIZES = {"base": (12, 768, 12), "large": (24, 1024, 16)}
VOCABULARY = 32000

# Their name of a raw tensor [.., heads, head_dim] of a layer's attention -> (ours, its heads axis).
_TENSORS = {
    "q": (("query", "kernel"), 1),
    "k": (("key", "kernel"), 1),
    "v": (("value", "kernel"), 1),
    "r": (("position", "kernel"), 1),
    "o": (("out", "kernel"), 1),
    "r_w_bias": (("content_query", "bias"), 0),
    "r_r_bias": (("position_query", "bias"), 0),
    "r_s_bias": (("segment_query", "bias"), 0),
    "seg_embed": (("segment_key", "table"), 1),
}


def architecture(size: str, **changes) -> Architecture:
    """Post-norm, erf GELU, a tied head with a bias; no position table and no limit of length."""
    return encoder(*size_of(SIZES, "xlnet", size), **changes)


def encoder(layers: int, d_model: int, heads: int, /, **changes) -> Architecture:
    """The same of any shape."""
    axes = {"vocab_size": VOCABULARY, "relative_attention": True}
    return bert.post_norm(layers, d_model, heads, **{**axes, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of XLNetLMHeadModel (or ForSequenceClassification, ForQuestionAnsweringSimple), without
    the tied copy."""
    found = [
        PublishedWeight("transformer.word_embedding.weight", ("token_embedding", "table")),
        PublishedWeight("transformer.mask_emb", ("encoder", "query_embedding", "table")),
        *bert.span_head(arch),
        *bert.pair_head(arch, "sequence_summary.summary", "logits_proj"),
    ]
    if arch.vocabulary_bias:
        found.append(PublishedWeight("lm_loss.bias", ("vocabulary_bias", "bias")))
    for i in range(arch.encoder_layers):
        there, ours = f"transformer.layer.{i}", ("encoder", "layers")
        for name, (path, axis) in _TENSORS.items():
            found.append(
                PublishedWeight(
                    f"{there}.rel_attn.{name}",
                    (*ours, "self_attention", *path),
                    i,
                    transposed=name == "o",  # [d, heads, head_dim] as the others are
                    heads_axis=axis,
                )
            )
        found += normed(f"{there}.rel_attn.layer_norm", (*ours, "post_attention_norm"), i)
        found += affine(f"{there}.ff.layer_1", (*ours, "feed_forward", "wi"), i)
        found += affine(f"{there}.ff.layer_2", (*ours, "feed_forward", "wo"), i)
        found += normed(f"{there}.ff.layer_norm", (*ours, "post_feed_forward_norm"), i)
    return found
