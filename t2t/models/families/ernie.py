"""ERNIE 1.0 (Chinese) and 2.0 (English) (Sun et al. 2019a, 2019b): BERT whose objectives differ."""

from t2t.models.architecture import Architecture
from t2t.models.families import bert
from t2t.models.families.t5 import size_of
from t2t.models.published_weight import PublishedWeight

# size -> (layers, d_model, heads)
SIZES = {"1.0-zh": (12, 768, 12), "2.0-base": (12, 768, 12), "2.0-large": (24, 1024, 16)}
VOCABULARIES = {"1.0-zh": 18000, "2.0-base": bert.VOCABULARY, "2.0-large": bert.VOCABULARY}


def architecture(size: str, **changes) -> Architecture:
    """1.0: 513 positions and ReLU. 2.0: four segment types; `task_types` for its tasks."""
    shape = size_of(SIZES, "ernie", size)
    axes = {"token_types": 4}
    if size == "1.0-zh":
        axes = {"vocab_size": 18048, "learned_positions": 513, "activation": "relu"}
    return bert.encoder(*shape, **{**axes, **changes})


def huggingface_weights(arch: Architecture) -> list[PublishedWeight]:
    """All tensors of ErnieForPreTraining (or ForMaskedLM), without tied copies."""
    return [
        *bert.embeddings("ernie", arch),
        *bert.layers("ernie", arch),
        *bert.heads("ernie", arch),
    ]
