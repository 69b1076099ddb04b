"""Decoding one token a step: encode once, keep every layer's keys. Any search stands on these two."""

import jax

from t2t.models.transformer import Cache, Model, Params


def start(model: Model, params: Params, encoder: dict, longest: int, copies: int = 1) -> Cache:
    """Encodes the inputs {tokens [B, S], segments?} and projects their cross-attention keys.

    The cache holds `longest` decoder positions of `copies` outputs an input, side by side as rows.
    Padded inputs need `segments`: 1 on tokens and 0 on padding (packed rows cannot be decoded).
    """
    encoded, _ = model.encode(params, encoder)
    return model.start_cache(params, encoded, encoder.get("segments"), longest, copies)


def step(model: Model, params: Params, cache: Cache, tokens: jax.Array) -> tuple[jax.Array, Cache]:
    """Tokens [B * copies] at the cache's position -> logits [B * copies, V] of the next token,
    cache advanced."""
    hidden, cache, _ = model.decode(params, tokens[:, None], cache)
    return model.logits(params, hidden[:, 0]), cache
