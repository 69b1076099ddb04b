"""Beam search against a slow search that runs the whole decoder again for every hypothesis."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.decoding.beam import beam
from t2t.decoding.config import Beam
from t2t.models.families import t5, t5_1_1
from tests.decoding.random_model import setting

LONGEST = 8


def teacher_forced(model, params, encoder):
    """Function (row, tokens so far) -> log-probabilities [V] of the next token."""

    @jax.jit
    def all_logs(tokens, inputs):
        shifted = jnp.pad(tokens, ((0, 0), (1, 0)))
        batch = {
            "encoder": inputs,
            "decoder": {"tokens": shifted, "segments": jnp.ones_like(shifted)},
        }
        return jax.nn.log_softmax(model.logits(params, model.forward(params, batch)[0]))

    def next_logs(row, tokens):
        padded = np.zeros((1, LONGEST), np.int32)
        padded[0, : len(tokens)] = tokens
        inputs = {k: v[row : row + 1] for k, v in encoder.items()}
        return np.asarray(all_logs(padded, inputs))[0, len(tokens)]

    return next_logs


def penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def slow_beam(next_logs, row, beams, alpha, eos):
    """Every list sorted in Python; no early stop, so what it finds needs none."""
    live, finished = [((), 0.0)], []
    for length in range(1, LONGEST + 1):
        grown = [
            ((*tokens, token), score + log)
            for tokens, score in live
            for token, log in enumerate(next_logs(row, tokens))
        ]
        grown = sorted(grown, key=lambda h: -h[1])[: 2 * beams]
        ended = [(t, s / penalty(length, alpha)) for t, s in grown if t[-1] == eos]
        finished = sorted(finished + ended, key=lambda h: -h[1])[:beams]
        live = [(t, s) for t, s in grown if t[-1] != eos][:beams]
    return ([t for t, _ in finished] + [t for t, _ in live])[:beams]


@pytest.mark.parametrize(("family", "alpha"), [(t5, 0.6), (t5_1_1, 0.0), (t5_1_1, 1.0)])
def test_equals_the_slow_search_token_for_token(family, alpha):
    model, params, encoder = setting(family, seed=5)
    encoder = {k: v[:3] for k, v in encoder.items()}
    next_logs = teacher_forced(model, params, encoder)
    free = [slow_beam(next_logs, row, 3, alpha, eos=-1) for row in range(3)]
    # An end that hypotheses really write, and one that never comes.
    common = int(np.bincount([h[2] for row in free for h in row]).argmax())
    for eos in (common, -1):
        want = free
        if eos >= 0:
            want = [slow_beam(next_logs, row, 3, alpha, eos) for row in range(3)]
        config = Beam(beams=3, n_best=3, length_penalty=alpha)
        got = jax.jit(lambda p, e, c=config, i=eos: beam(model, p, e, LONGEST, c, eos_id=i))(
            params, encoder
        )
        for row, hypotheses in enumerate(want):
            for n, tokens in enumerate(hypotheses):
                length = int(got.lengths[row, n])
                assert tuple(np.asarray(got.tokens[row, n, :length]).tolist()) == tokens
                logs = [next_logs(row, tokens[:i])[t] for i, t in enumerate(tokens)]
                np.testing.assert_allclose(
                    got.log_probabilities[row, n, :length], logs, rtol=1e-3, atol=1e-3
                )


def test_wide_enough_it_finds_the_exhaustive_best():
    model, params, encoder = setting(t5_1_1, seed=6)
    encoder = {k: v[:1] for k, v in encoder.items()}
    # All but six tokens are made impossible: every text of at most 3 tokens can be tried.
    kept = [1, 5, 17, 40, 77, 100]
    barred = jnp.full(128, -1e4).at[jnp.array(kept)].set(0)
    few = model._replace(logits=lambda p, hidden: model.logits(p, hidden) + barred)
    next_logs = teacher_forced(few, params, encoder)
    best, best_score = None, -np.inf
    for length in range(1, 4):
        for tokens in itertools.product(kept, repeat=length):
            if 1 in tokens[:-1] or tokens[-1] != 1:
                continue
            total = sum(next_logs(0, tokens[:i])[t] for i, t in enumerate(tokens))
            if total / penalty(length, 0.6) > best_score:
                best, best_score = tokens, total / penalty(length, 0.6)
    got = beam(few, params, encoder, 3, Beam(beams=36), eos_id=1)
    assert tuple(np.asarray(got.tokens[0, 0, : len(best)]).tolist()) == best
