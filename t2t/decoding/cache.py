"""Decoding one token a step: read the input once, keep every layer's keys. Every search stands on this.

An encoder-decoder encodes its input, and begins to write after a start token. A decoder alone reads
its input as the beginning of its own text: all but the last token in one pass, which fills the cache.
"""

import jax
import jax.numpy as jnp

from t2t.models.architecture import DECODER
from t2t.models.transformer import Cache, Model, Params


def begin(
    model: Model, params: Params, inputs: dict, longest: int, copies: int = 1, start_id: int = 0
) -> tuple[Cache, jax.Array]:
    """Reads the inputs {tokens [B, S], segments?}: the cache with room for `longest` further tokens of
    `copies` outputs an input, and the token [B * copies] that each of these is continued from.

    Padded inputs need `segments`: 1 on tokens and 0 on padding, which stands behind the tokens, but
    before them for a decoder alone, whose rows all end where the output begins.
    """
    if model.arch.stacks != DECODER:
        cache = start(model, params, inputs, longest, copies)
        return cache, jnp.full((inputs["tokens"].shape[0] * copies,), start_id, jnp.int32)
    tokens, segments = inputs["tokens"], inputs.get("segments")
    read = tokens.shape[1] - 1
    padding = None if segments is None else jnp.sum(segments == 0, axis=1, dtype=jnp.int32)
    nothing, _ = model.encode(params, inputs)
    cache = model.start_cache(params, nothing, None, read + longest, padding=padding)
    if read:
        _, cache, _ = model.decode(params, tokens[:, :-1], cache)

    def repeat(x: jax.Array) -> jax.Array:
        return jnp.repeat(x, copies, axis=0)

    layers = tuple(
        layer._replace(self_attention=jax.tree.map(repeat, layer.self_attention))
        for layer in cache.layers
    )
    padding = None if padding is None else repeat(padding)
    return cache._replace(layers=layers, padding=padding), repeat(tokens[:, -1])


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
