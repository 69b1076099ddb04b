"""Token dropout and span replacement: noise on a batch's inputs, a function of (seed, sample)."""

import functools

import numpy as np

from t2t.data.augmentation_config import Augmentation
from t2t.data.order import below, random_bits

_REACH = 1024  # tokens: longer spans, which no mean in use makes, are cut


def augmented(cfg: Augmentation, vocabulary, seed: int, batch: dict) -> dict:
    """Returns the batch with noise on what the network reads: the encoder's tokens, or a decoder's
    where it stands alone. Row r depends on (seed, batch["sample"][r]) only."""
    side = "encoder" if "encoder" in batch else "decoder"
    tokens = batch[side]["tokens"]
    special = vocabulary.special_ids()
    ordinary = ~np.isin(tokens, special)

    def draw(purpose: str) -> np.ndarray:
        return random_bits(seed, f"augmentation/{purpose}", batch["sample"], tokens.shape[1])

    if cfg.span_replacement:
        starts = _chance(draw("spans")) < start_rate(cfg.span_replacement, cfg.mean_span_length)
        lengths = _geometric(_chance(draw("lengths")), cfg.mean_span_length)
        places = np.arange(tokens.shape[1])
        ends = np.where(starts, places + lengths, 0)
        inside = np.maximum.accumulate(ends, axis=1) > places
        usual = np.setdiff1d(np.arange(vocabulary.size), special).astype(tokens.dtype)
        others = usual[below(draw("tokens"), len(usual))]
        tokens = np.where(inside & ordinary, others, tokens)
    if cfg.token_dropout:
        gone = ordinary & (_chance(draw("dropout")) < cfg.token_dropout)
        tokens = np.where(gone, tokens.dtype.type(vocabulary.unk_id), tokens)
    return {**batch, side: {**batch[side], "tokens": tokens}}


@functools.cache
def start_rate(share: float, mean: float) -> float:
    """How often a span must begin for `share` of all tokens to lie in one (spans may overlap).

    A token d places behind one that begins a span lies in it with probability (1 - 1/mean)^d; it is
    in none with the product of 1 - rate (1 - 1/mean)^d over d. Solved for the rate by bisection.
    """
    longer = (1.0 - 1.0 / mean) ** np.arange(_REACH)
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        covered = 1.0 - np.prod(1.0 - rate * longer)
        low, high = (rate, high) if covered < share else (low, rate)
    return rate


def _chance(bits: np.ndarray) -> np.ndarray:
    """uint32 bits as float64 in [0, 1)."""
    return bits / 2.0**32


def _geometric(chance: np.ndarray, mean: float) -> np.ndarray:
    """Lengths 1, 2, ... of probability (1/mean) (1 - 1/mean)^(n-1)."""
    if mean == 1:
        return np.ones(chance.shape, np.int64)
    lengths = 1 + np.floor(np.log1p(-chance) / np.log1p(-1.0 / mean)).astype(np.int64)
    return np.minimum(lengths, _REACH)
