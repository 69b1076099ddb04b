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

PARTS = {
    **{f"attention.self.{name}": ("self_attention", name) for name in ("query", "key", "value")},
    "attention.output.dense": ("self_attention", "out"),
    "intermediate.dense": ("feed_forward", "wi"),
    "output.dense": ("feed_forward", "wo"),
}
NORMS = {
    "attention.output.LayerNorm": "post_attention_norm",
    "output.LayerNorm": "post_feed_forward_norm",
}


def architecture(size: str, **changes) -> Architecture:
    """Two segment types, 512 positions, masked words and next sentences."""
    return encoder(*size_of(SIZES, "bert", size), **changes)


def encoder(layers: int, d_model: int, heads: int, /, **changes) -> Architecture:
    """What BERT's kin are: with learned positions, segment types and BERT's heads."""
    axes = {
        "vocab_size": 30592,
        "learned_positions": 512,
        "token_types": 2,
        "embedding_norm": True,
        "head": "masked",
        "pair_classes": 2,
    }
    return post_norm(layers, d_model, heads, **{**axes, **changes})


def post_norm(layers: int, d_model: int, heads: int, /, vocab_size: int, **changes) -> Architecture:
    """A post-norm encoder with erf GELU and a tied head with a bias, which does not yet say how it
    tells positions."""
    arch = Architecture(
        vocab_size=vocab_size,
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
        norm="layer",
        norm_place="after",
        norm_epsilon=1e-12,
        tied_embedding=True,
        vocabulary_bias=True,
        initialization="normal",
        dropout=0.1,
        dropout_along_length=False,
    )
    return replace(arch, **changes)


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of BertForPreTraining (or ForMaskedLM, ForQuestionAnswering,
    ForSequenceClassification), without tied copies."""
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


def layers(prefix: str, arch: Architecture, norms: dict[str, str] = NORMS) -> list[PublishedWeight]:
    """Layers under `prefix.encoder.layer`; norms: their name of one -> ours."""
    found = []
    for i in range(arch.encoder_layers):
        found += layer(f"{prefix}.encoder.layer.{i}", PARTS, norms, i)
    return found


def layer(
    there: str, parts: dict[str, tuple[str, str]], norms: dict[str, str], number: int
) -> list[PublishedWeight]:
    """One layer, under `there`: their names of linears and norms -> ours in a layer."""
    found, ours = [], ("encoder", "layers")
    for name, path in parts.items():
        found += affine(f"{there}.{name}", (*ours, *path), number)
    for name, norm in norms.items():
        found += normed(f"{there}.{name}", (*ours, norm), number)
    return found


def heads(prefix: str, arch: Architecture) -> list[PublishedWeight]:
    """The masked head, the pair's and the one that points at answers, where there are such."""
    found = span_head(arch)
    if arch.head == "masked":
        found += affine("cls.predictions.transform.dense", ("masked_head", "dense"))
        found += normed("cls.predictions.transform.LayerNorm", ("masked_head", "norm"))
        found.append(PublishedWeight("cls.predictions.bias", ("vocabulary_bias", "bias")))
    last = "classifier" if classifies(arch) else "cls.seq_relationship"
    return found + pair_head(arch, f"{prefix}.pooler.dense", last)


def classifies(arch: Architecture) -> bool:
    """Whether a pair's head is all that there is beside the stack: ...ForSequenceClassification."""
    return bool(arch.pair_classes) and arch.head == "vocabulary" and not arch.vocabulary_bias


def pair_head(arch: Architecture, pooler: str, classifier: str) -> list[PublishedWeight]:
    """The two layers from [CLS] to the classes of a text or a pair, where there are such."""
    if not arch.pair_classes:
        return []
    return affine(pooler, ("pair_head", "pooler")) + affine(classifier, ("pair_head", "classifier"))


def span_head(arch: Architecture) -> list[PublishedWeight]:
    """The head of ...ForQuestionAnswering, a logit of a start and one of an end, where there is one."""
    return affine("qa_outputs", ("token_head",)) if arch.token_classes == 2 else []
