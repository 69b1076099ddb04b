"""How well the targets are predicted, from their log-likelihoods: perplexity and bits a byte."""

import math
from collections.abc import Sequence

import numpy as np

from t2t.evaluation.metrics.metric import Judged, Metric


def _rows(judged: Sequence[Judged]) -> np.ndarray:
    """[nats, tokens, UTF-8 bytes] of each target."""
    return np.array(
        [[-one.log_likelihood, one.tokens, len(one.target.encode())] for one in judged],
        np.float64,
    )


def _perplexity(rows: np.ndarray) -> dict[str, float]:
    """Of a target token, end of sequence included: it depends on the vocabulary."""
    nats, tokens, _ = rows.sum(axis=0)
    return {"perplexity": math.exp(min(nats / tokens, 700.0))}


def _bits_per_byte(rows: np.ndarray) -> dict[str, float]:
    """Of the targets' UTF-8: it does not."""
    nats, _, size = rows.sum(axis=0)
    return {"bits_per_byte": float(nats / math.log(2) / size) if size else float("nan")}


PERPLEXITY = Metric(_rows, _perplexity, ("perplexity",), likelihood=True, lower=True)
BITS_PER_BYTE = Metric(_rows, _bits_per_byte, ("bits_per_byte",), likelihood=True, lower=True)
