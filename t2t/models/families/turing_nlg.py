"""Turing-NLG (Microsoft 2020): GPT-2 with another size. Its weights are not public."""

from t2t.models.architecture import Architecture
from t2t.models.families import gpt2
from t2t.models.families.t5 import size_of

SIZES = {"17b": (78, 4256, 28)}  # size -> (layers, d_model, heads)


def architecture(size: str, **changes) -> Architecture:
    """1,024 positions; the vocabulary is not published, and assumed to be Megatron's (51,200 rows)."""
    return gpt2.decoder(*size_of(SIZES, "turing_nlg", size), **{"vocab_size": 51200, **changes})
