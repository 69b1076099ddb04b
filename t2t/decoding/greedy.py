"""Greedy decoding: the most probable token, again and again."""

import jax
import jax.numpy as jnp

from t2t.decoding.autoregression import Written, write
from t2t.models.transformer import Model, Params


def greedy(model: Model, params: Params, encoder: dict, longest: int, **ends) -> Written:
    """Inputs (see `cache.begin`) -> one output a row; ties go to the lowest id.

    ends: forced, stops, eos_id, start_id, as in `autoregression.write`.
    """

    def choose(logits: jax.Array, _position: jax.Array) -> jax.Array:
        return jnp.argmax(logits, axis=-1)

    return write(model, params, encoder, longest, choose, **ends)
