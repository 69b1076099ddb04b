"""Beam search as T5 has it: 2K candidates a step, finished hypotheses kept apart, early stop."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from t2t.decoding.autoregression import FREE, Stops, Written, forced_token
from t2t.decoding.cache import begin, step
from t2t.decoding.config import Beam
from t2t.models.transformer import Cache, Model, Params

NEVER = -1e30  # the score of a hypothesis that is not there; finite, so differences stay numbers


class Hypotheses(NamedTuple):
    """K token sequences of every input."""

    score: jax.Array  # [B, K]; NEVER where there is none
    tokens: jax.Array  # [B, K, longest]
    log_probabilities: jax.Array  # [B, K, longest], each token's
    lengths: jax.Array  # [B, K]


class State(NamedTuple):
    position: jax.Array
    live: Hypotheses  # by sum of log-probabilities
    finished: Hypotheses  # by that sum over the length penalty
    stop: jax.Array  # [B, K]: the stop automaton of the live ones
    cache: Cache  # rows B * K


def length_penalty(length: jax.Array, alpha: float) -> jax.Array:
    """((5 + length) / 6) ^ alpha."""
    return ((5.0 + length) / 6.0) ** alpha


def beam(
    model: Model,
    params: Params,
    encoder: dict,
    longest: int,
    config: Beam,
    *,
    forced: jax.Array | None = None,
    stops: Stops | None = None,
    eos_id: int = 1,
    start_id: int = 0,
) -> Written:
    """Inputs (see `cache.begin`) -> the `config.n_best` hypotheses of each, best first.

    A hypothesis is finished by `eos_id` or a stop string; those still alive at `longest` come after
    every finished one, so they are returned only where too few have finished. Lengths and scores
    count what follows the prefix. The search ends when no live hypothesis can overtake a kept one,
    were all its further tokens certain. A pure function: jit it with everything but arrays bound.
    """
    rows, beams = encoder["tokens"].shape[0], config.beams
    if forced is None:
        forced = jnp.zeros((rows, 0), jnp.int32)
    given_length = jnp.sum(forced != FREE, axis=1).astype(jnp.int32)[:, None]
    most = length_penalty(longest - given_length, config.length_penalty)

    def unfinished(state: State):
        best_live = state.live.score[:, :1]
        worst_kept = state.finished.score[:, -1:]
        may_enter = _is_there(best_live) & (best_live / most > worst_kept)
        return (state.position < longest) & jnp.any(may_enter)

    def advance(state: State) -> State:
        position, live = state.position, state.live
        last = jax.lax.dynamic_index_in_dim(
            live.tokens, jnp.maximum(position - 1, 0), axis=2, keepdims=False
        )
        last = jnp.where(position == 0, read, last)
        logits, cache = step(model, params, state.cache, last.reshape(-1))
        given = forced_token(forced, position)
        parent, token, gain, score = _candidates(logits, live.score, given)

        stop = _of_parent(state.stop, parent)
        if stops is not None:
            stop = jnp.where(given[:, None] >= 0, stop, stops.table[stop, token])
        ended = (given[:, None] < 0) & (token == eos_id)
        if stops is not None:
            ended = ended | stops.stopped(stop)
        grown = Hypotheses(
            score,
            _written(_of_parent(live.tokens, parent), token, position),
            _written(_of_parent(live.log_probabilities, parent), gain, position),
            jnp.full(parent.shape, position + 1),
        )

        lengths = position + 1 - given_length
        penalty = length_penalty(jnp.maximum(lengths, 1), config.length_penalty)
        rank = jnp.where(ended & _is_there(score), score / penalty, NEVER)
        finished = _best(_joined(state.finished, grown._replace(score=rank)), beams)[0]
        live, chosen = _best(grown._replace(score=jnp.where(ended, NEVER, score)), beams)
        parent = jnp.take_along_axis(parent, chosen, axis=1)
        return State(
            position + 1, live, finished, _of_parent(stop, chosen), _reordered(cache, parent)
        )

    empty = Hypotheses(
        jnp.full((rows, beams), NEVER, jnp.float32),
        jnp.zeros((rows, beams, longest), jnp.int32),
        jnp.zeros((rows, beams, longest), jnp.float32),
        jnp.zeros((rows, beams), jnp.int32),
    )
    # All beams begin alike: only the first may grow, or they would stay alike for ever.
    first = empty._replace(score=empty.score.at[:, 0].set(0))
    stop = jnp.zeros((rows,), jnp.int32) if stops is None else stops.state
    cache, read = begin(model, params, encoder, longest, beams, start_id)
    read = read.reshape(rows, beams)
    state = State(
        jnp.zeros((), jnp.int32),
        first,
        empty,
        jnp.broadcast_to(stop[:, None], (rows, beams)),
        cache,
    )
    state = jax.lax.while_loop(unfinished, advance, state)
    best = _best(_finished_first(state.finished, state.live), config.n_best)[0]
    return Written(best.tokens, best.log_probabilities, best.lengths)


def _candidates(logits: jax.Array, live: jax.Array, given: jax.Array):
    """The 2K best continuations of K live beams: parent, token, its log-probability, total [B, 2K].

    logits [B * K, V], live [B, K], given [B]: a token all must take, or FREE. Twice as many as beams,
    since up to K of them may be ends. The 2K best of all are among the 2K best of each beam.
    """
    rows, beams = live.shape
    count = min(2 * beams, logits.shape[-1])
    best, token = jax.lax.top_k(logits, count)  # [B * K, 2K]
    # Where a token is given, every beam has one continuation, at the head of its list.
    forced = jnp.repeat(given, beams)[:, None]
    head = jnp.arange(count) == 0
    its = jnp.take_along_axis(logits, jnp.maximum(forced, 0), axis=1)
    best = jnp.where((forced >= 0) & head, its, best)
    token = jnp.where((forced >= 0) & head, forced, token)
    gain = (best - jax.nn.logsumexp(logits, axis=-1, keepdims=True)).astype(jnp.float32)
    counted = jnp.where(forced >= 0, jnp.where(head, 0.0, NEVER), gain)
    total = jnp.maximum(live[:, :, None] + counted.reshape(rows, beams, count), NEVER)
    score, place = jax.lax.top_k(total.reshape(rows, -1), min(2 * beams, beams * count))
    pick = lambda x: jnp.take_along_axis(x.reshape(rows, -1), place, axis=1)
    return place // count, pick(token), pick(gain), score


def _is_there(score: jax.Array) -> jax.Array:
    return score > NEVER / 2


def _finished_first(finished: Hypotheses, live: Hypotheses) -> Hypotheses:
    """Both, scored by their places: the finished in order, then the live in order, then the rest."""
    beams = live.score.shape[1]
    places = -jnp.arange(beams, dtype=jnp.float32)
    at_end = places - 3 * beams
    return _joined(
        finished._replace(score=jnp.where(_is_there(finished.score), places, at_end)),
        live._replace(score=jnp.where(_is_there(live.score), places - beams, at_end - beams)),
    )


def _of_parent(x: jax.Array, parent: jax.Array) -> jax.Array:
    """x [B, K, ...] taken at parent [B, N] -> [B, N, ...]."""
    return jax.vmap(lambda row, index: row[index])(x, parent)


def _written(x: jax.Array, value: jax.Array, position: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(
        x, value[..., None].astype(x.dtype), position, axis=2
    )


def _joined(one: Hypotheses, other: Hypotheses) -> Hypotheses:
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), one, other)


def _best(hypotheses: Hypotheses, count: int) -> tuple[Hypotheses, jax.Array]:
    """The `count` of highest score, best first, and where they stood [B, count]."""
    _, place = jax.lax.top_k(hypotheses.score, count)
    return jax.tree.map(lambda x: _of_parent(x, place), hypotheses), place


def _reordered(cache: Cache, parent: jax.Array) -> Cache:
    """Every beam continues its parent's self-attention keys. Those of the input are shared."""
    rows, beams = parent.shape

    def take(x: jax.Array) -> jax.Array:
        return _of_parent(x.reshape(rows, beams, *x.shape[1:]), parent).reshape(x.shape)

    return cache._replace(
        layers=tuple(
            layer._replace(self_attention=jax.tree.map(take, layer.self_attention))
            for layer in cache.layers
        )
    )
