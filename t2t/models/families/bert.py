"""BERT (Devlin et al. 2018), and its names in `transformers`, which many of its kin share."""

from dataclasses import replace

from t2t.models.architecture import Architecture
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight, affine, normed

# size -> (layers, d_model, heads); the smallest are those of Turc et al. 2019
SIZES = {
    "tiny": (2, 128, 2),
    "mini": (4, 256, 4),
    "small": (4, 512, 8),
    "medium": (8, 512, 8),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
}
VOCABULARY = 30522  # published; models here pad it to a multiple of 128


def architecture(size: str, **changes) -> Architecture:
    """Two segment types, 512 positions, masked words and next sentences."""
    return encoder(*size_of(SIZES, "bert", size), **changes)


def encoder(layers: int, d_model: int, heads: int, /, **changes) -> Architecture:
    """A post-norm encoder with learned positions, erf GELU and BERT's heads."""
    arch = Architecture(
        vocab_size=30592,
        d_model=d_model,
        heads=heads,
        head_dim=d_model // heads,
        d_ff=4 * d_model,
        encoder_layers=layers,
        decoder_layers=0,
        activation="gelu",
        gated=False,
        biases=True,
        scaled_attention=True,
        relative_bias="none",
        learned_positions=512,
        norm="layer",
        norm_place="after",
        norm_epsilon=1e-12,
        tied_embedding=True,
        token_types=2,
        embedding_norm=True,
        head="masked",
        vocabulary_bias=True,
        pair_classes=2,
        initialization="normal",
        dropout=0.1,
        dropout_along_length=False,
    )
    return replace(arch, **changes)


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of BertForPreTraining (or ForMaskedLM), without tied copies."""
    return [*embeddings("bert", arch), *layers("bert", arch), *heads("bert", arch)]


def embeddings(prefix: str, arch: Architecture) -> list[PublishedWeight]:
    """Tables and norm under `prefix.embeddings`."""
    there = f"{prefix}.embeddings"
    tables = {"word_embeddings": "token_embedding", "position_embeddings": "position_embedding"}
    if arch.token_types:
        tables["token_type_embeddings"] = "type_embedding"
    if arch.task_types:
        tables["task_type_embeddings"] = "task_embedding"
    found = [PublishedWeight(f"{there}.{t}.weight", (o, "table")) for t, o in tables.items()]
    return found + (
        normed(f"{there}.LayerNorm", ("embedding_norm",)) if arch.embedding_norm else []
    )


def layers(prefix: str, arch: Architecture) -> list[PublishedWeight]:
    """Post-norm layers under `prefix.encoder.layer`."""
    found, ours = [], ("encoder", "layers")
    for i in range(arch.encoder_layers):
        there = f"{prefix}.encoder.layer.{i}"
        for name in ("query", "key", "value"):
            found += affine(f"{there}.attention.self.{name}", (*ours, "self_attention", name), i)
        found += affine(f"{there}.attention.output.dense", (*ours, "self_attention", "out"), i)
        found += normed(f"{there}.attention.output.LayerNorm", (*ours, "post_attention_norm"), i)
        found += affine(f"{there}.intermediate.dense", (*ours, "feed_forward", "wi"), i)
        found += affine(f"{there}.output.dense", (*ours, "feed_forward", "wo"), i)
        found += normed(f"{there}.output.LayerNorm", (*ours, "post_feed_forward_norm"), i)
    return found


def heads(prefix: str, arch: Architecture) -> list[PublishedWeight]:
    """The masked head and, where there is one, the pair's."""
    found = [
        *affine("cls.predictions.transform.dense", ("masked_head", "dense")),
        *normed("cls.predictions.transform.LayerNorm", ("masked_head", "norm")),
        PublishedWeight("cls.predictions.bias", ("vocabulary_bias", "bias")),
    ]
    if arch.pair_classes:
        found += affine(f"{prefix}.pooler.dense", ("pair_head", "pooler"))
        found += affine("cls.seq_relationship", ("pair_head", "classifier"))
    return found
