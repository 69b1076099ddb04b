"""Greedy decoding: the most probable token, again and again, inside one compiled loop."""

import jax
import jax.numpy as jnp

from t2t.decoding.cache import start, step
from t2t.models.transformer import Model, Params


def greedy(
    model: Model,
    params: Params,
    encoder: dict,
    longest: int,
    *,
    eos_id: int = 1,
    start_id: int = 0,
) -> jax.Array:
    """Inputs {tokens [B, S], segments?} -> tokens [B, longest] int32.

    Each row ends with `eos_id` and zeros after it, or is cut at `longest`. The loop stops when
    every row has ended. Ties go to the lowest id. A pure function: jit it with `model`, `longest`
    and the ids bound, once a run.
    """
    rows = encoder["tokens"].shape[0]

    def unfinished(state):
        position, _, finished, _, _ = state
        return (position < longest) & ~jnp.all(finished)

    def advance(state):
        position, token, finished, output, cache = state
        logits, cache = step(model, params, cache, token)
        token = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        token = jnp.where(finished, 0, token)
        output = jax.lax.dynamic_update_slice_in_dim(output, token[:, None], position, axis=1)
        return position + 1, token, finished | (token == eos_id), output, cache

    state = (
        jnp.zeros((), jnp.int32),
        jnp.full((rows,), start_id, jnp.int32),
        jnp.zeros((rows,), bool),
        jnp.zeros((rows, longest), jnp.int32),
        start(model, params, encoder, longest),
    )
    return jax.lax.while_loop(unfinished, advance, state)[3]
