"""Writing one token after another inside one compiled loop; how a token is chosen is given."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from t2t.decoding.cache import begin, step
from t2t.models.transformer import Model, Params

FREE = -1  # in a prefix: no token is forced


class Written(NamedTuple):
    """What a search returns, on device."""

    tokens: jax.Array  # [B, N, longest] int32, best first; zeros after the end
    log_probabilities: jax.Array  # [B, N, longest] float32, each token's given those before it
    lengths: jax.Array  # [B, N] int32: tokens written, prefix and end included


class Stops(NamedTuple):
    """Stop strings as an automaton over tokens (see stop_strings.py)."""

    table: jax.Array  # [states, V] int32: the state after a token
    state: jax.Array  # [B] int32: where each row begins

    def stopped(self, state: jax.Array) -> jax.Array:
        """The last state is the one where a stop string has been written."""
        return state == self.table.shape[0] - 1


def forced_token(forced: jax.Array, position: jax.Array) -> jax.Array:
    """The token [B] that a prefix [B, P] (FREE where it has ended) forces at `position`, or FREE."""
    length = forced.shape[1]
    if length == 0:
        return jnp.full(forced.shape[:1], FREE, jnp.int32)
    token = jax.lax.dynamic_index_in_dim(
        forced, jnp.minimum(position, length - 1), axis=1, keepdims=False
    )
    return jnp.where(position < length, token, FREE)


def log_probability(logits: jax.Array, tokens: jax.Array) -> jax.Array:
    """log softmax(logits [..., V])[tokens [...]]; logits may stand for several tokens (size 1)."""
    shape = (*tokens.shape, logits.shape[-1])
    chosen = jnp.take_along_axis(jnp.broadcast_to(logits, shape), tokens[..., None], axis=-1)[
        ..., 0
    ]
    return chosen - jax.nn.logsumexp(logits, axis=-1)


def write(
    model: Model,
    params: Params,
    encoder: dict,
    longest: int,
    choose: Callable[[jax.Array, jax.Array], jax.Array],
    *,
    copies: int = 1,
    forced: jax.Array | None = None,
    stops: Stops | None = None,
    eos_id: int = 1,
    start_id: int = 0,
) -> Written:
    """Inputs (see `cache.begin`) -> `copies` outputs of each, of at most `longest` tokens.

    choose(logits [B * copies, V], position) -> tokens [B * copies]; rows of one input stand side by
    side. forced [B, P]: the prefix of every output, FREE after it. Each row ends with `eos_id` or
    the token that completes a stop string, or is cut at `longest`; the loop stops when every row
    has ended. A pure function: jit it with everything but arrays bound.
    """
    inputs = encoder["tokens"].shape[0]
    rows = inputs * copies
    repeat = lambda x: jnp.repeat(x, copies, axis=0)
    if forced is None:
        forced = jnp.zeros((inputs, 0), jnp.int32)
    forced = repeat(forced)

    def unfinished(state):
        position, _, finished, *_ = state
        return (position < longest) & ~jnp.all(finished)

    def advance(state):
        position, token, finished, stop, lengths, tokens, scores, cache = state
        logits, cache = step(model, params, cache, token)
        given = forced_token(forced, position)
        token = jnp.where(given >= 0, given, choose(logits, position).astype(jnp.int32))
        score = jnp.where(finished, 0, log_probability(logits, token))
        token = jnp.where(finished, 0, token)
        tokens = jax.lax.dynamic_update_slice_in_dim(tokens, token[:, None], position, axis=1)
        scores = jax.lax.dynamic_update_slice_in_dim(
            scores, score.astype(scores.dtype)[:, None], position, axis=1
        )
        lengths = lengths + ~finished
        finished = finished | ((token == eos_id) & (given < 0))
        if stops is not None:
            stop = jnp.where(given >= 0, stop, stops.table[stop, token])
            finished = finished | stops.stopped(stop)
        return position + 1, token, finished, stop, lengths, tokens, scores, cache

    cache, first = begin(model, params, encoder, longest, copies, start_id)
    state = (
        jnp.zeros((), jnp.int32),
        first,
        jnp.zeros((rows,), bool),
        jnp.zeros((rows,), jnp.int32) if stops is None else repeat(stops.state),
        jnp.zeros((rows,), jnp.int32),
        jnp.zeros((rows, longest), jnp.int32),
        jnp.zeros((rows, longest), jnp.float32),
        cache,
    )
    *_, lengths, tokens, scores, _ = jax.lax.while_loop(unfinished, advance, state)
    by_input = lambda x: x.reshape(inputs, copies, *x.shape[1:])
    return Written(by_input(tokens), by_input(scores), by_input(lengths))
