"""Megatron-LM's BERT (Shoeybi et al. 2019): norms before the sub-layers, none of the embedding."""

from t2t.models.architecture import Architecture
from t2t.models.families import bert
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, normed

# size -> (layers, d_model, heads)
SIZES = {"345m": (24, 1024, 16), "1.3b": (24, 2048, 32), "3.9b": (48, 2560, 40)}


def architecture(size: str, **changes) -> Architecture:
    """29,056 rows of vocabulary; the pair head tells sentence order."""
    axes = {"vocab_size": 29056, "norm_place": "before", "embedding_norm": False}
    return bert.encoder(*size_of(SIZES, "megatron_bert", size), **{**axes, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of MegatronBertForPreTraining (or ForMaskedLM), without tied copies."""
    norms = {"attention.ln": "pre_attention_norm", "ln": "pre_feed_forward_norm"}
    return [
        *bert.embeddings("bert", arch),
        *bert.layers("bert", arch, norms),
        *normed("bert.encoder.ln", ("encoder", "final_norm")),
        *bert.heads("bert", arch),
    ]
