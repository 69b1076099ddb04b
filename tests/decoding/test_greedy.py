"""Cached decoding equals running the whole decoder again for every token."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.decoding.cache import start, step
from t2t.decoding.greedy import greedy
from t2t.models.families import t5, t5_1_1, umt5
from tests.decoding.random_model import setting

LONGEST = 12


def uncached(model, params, encoder, eos_id):
    """Plain: run everything from scratch for each next token, row by row bookkeeping in NumPy."""
    rows = encoder["tokens"].shape[0]
    decoder = np.zeros((rows, LONGEST), np.int32)
    ones = np.ones_like(decoder)

    @jax.jit
    def next_logits(decoder):
        batch = {"encoder": encoder, "decoder": {"tokens": decoder, "segments": ones}}
        return model.logits(params, model.forward(params, batch)[0])

    output = np.zeros((rows, LONGEST), np.int32)
    done = np.zeros(rows, bool)
    for i in range(LONGEST):
        choice = np.argmax(np.asarray(next_logits(decoder))[:, i], -1)
        output[:, i] = np.where(done, 0, choice)
        done |= output[:, i] == eos_id
        if i + 1 < LONGEST:
            decoder[:, i + 1] = choice
    return output


@pytest.mark.parametrize("family", [t5, t5_1_1, umt5])
def test_equals_the_uncached_decoder_token_for_token(family):
    model, params, encoder = setting(family, seed=1)
    free = uncached(model, params, encoder, eos_id=-1)
    # An end token that the model really writes: the one that ends most rows somewhere inside.
    eos = np.bincount(free[:, 1:-1].ravel(), minlength=128).argmax()
    want = uncached(model, params, encoder, eos_id=int(eos))
    decode = jax.jit(lambda p, e: greedy(model, p, e, LONGEST, eos_id=int(eos)))
    got = np.asarray(decode(params, encoder).tokens[:, 0])
    np.testing.assert_array_equal(got, want)
    assert (got == 0).any()
    never = jax.jit(lambda p, e: greedy(model, p, e, LONGEST, eos_id=-1))
    np.testing.assert_array_equal(np.asarray(never(params, encoder).tokens[:, 0]), free)


def test_padding_of_the_inputs_changes_nothing():
    model, params, encoder = setting(t5_1_1, seed=2)
    decode = jax.jit(lambda p, e: greedy(model, p, e, LONGEST))
    together = np.asarray(decode(params, encoder).tokens[:, 0])
    for row in (0, 3):
        length = encoder["segments"][row].sum()
        alone = {"tokens": encoder["tokens"][row : row + 1, :length]}
        np.testing.assert_array_equal(np.asarray(decode(params, alone).tokens[0, 0]), together[row])


def test_stops_when_every_row_has_ended():
    model, params, encoder = setting(t5_1_1, seed=3)
    # A head that prefers token 1 whatever it sees: every row ends with its first token.
    head = jnp.zeros_like(params["lm_head"]["kernel"])
    params["lm_head"]["kernel"] = head
    calls = []

    def counting(params, tokens, cache):
        jax.debug.callback(lambda: calls.append(1))
        return model.decode(params, tokens, cache)

    counted = model._replace(decode=counting)
    out = jax.jit(lambda p, e: greedy(counted, p, e, 50, eos_id=0))(params, encoder)
    jax.effects_barrier()
    assert (np.asarray(out.tokens) == 0).all()
    assert len(calls) == 1


def test_step_logits_equal_the_teacher_forced_ones():
    model, params, encoder = setting(umt5, seed=4)
    rng = np.random.default_rng(0)
    tokens = rng.integers(2, 128, (6, 8)).astype(np.int32)
    tokens[:, 0] = 0
    batch = {"encoder": encoder, "decoder": {"tokens": tokens, "segments": np.ones_like(tokens)}}
    want = jax.jit(lambda p: model.logits(p, model.forward(p, batch)[0]))(params)
    cache = jax.jit(lambda p: start(model, p, encoder, 8))(params)
    one = jax.jit(lambda p, c, t: step(model, p, c, t))
    for i in range(8):
        logits, cache = one(params, cache, tokens[:, i])
        np.testing.assert_allclose(logits, want[:, i], rtol=1e-3, atol=1e-3)
    assert int(cache.position) == 8
