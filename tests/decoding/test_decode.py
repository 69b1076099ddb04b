"""Rows of any lengths: input order, the same whatever the batch or the mesh; scores; stops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from t2t.data.tokenizers import ByteTokenizer
from t2t.decoding.config import Beam, Greedy, Sample
from t2t.decoding.decode import decode, make_decoder
from t2t.decoding.sampling import truncated
from t2t.decoding.scoring import rank, score
from t2t.decoding.stop_strings import automaton
from t2t.models.families import t5_1_1
from t2t.models.transformer import build
from t2t.parallel.mesh import make_mesh
from t2t.parallel.mesh_config import Mesh
from t2t.parallel.sharding import constrainer, shardings
from tests.decoding import random_model


def architecture(**changes):
    """With room for every byte."""
    return random_model.architecture(t5_1_1, **{"vocab_size": 384, **changes})


ROWS = [np.array([*range(10, 10 + n), 1], np.int32) for n in (3, 30, 17, 5, 40)]


@pytest.fixture(scope="module")
def decoder():
    return make_decoder(build(architecture()), ByteTokenizer(125))


@pytest.fixture(scope="module")
def params(decoder):
    return random_model.random_params(decoder.model, seed=0, noise=0.2)


WAYS = [
    Greedy(max_tokens=12),
    Beam(max_tokens=12, n_best=2),
    Sample(max_tokens=12, samples=2, top_k=50, top_p=0.9),
]


def tokens_of(results):
    return [[output.tokens for output in outputs] for outputs in results]


def spread_out(params, tokenizer):
    """The decoder and its parameters on a mesh of eight devices."""
    mesh = make_mesh(Mesh(data=2, fsdp=2, tensor=2))
    model = build(architecture(), constrain=constrainer(mesh))
    placed = jax.device_put(params, shardings(model.axes, model.shapes, mesh, model.units))
    return make_decoder(model, tokenizer, mesh), placed


@pytest.mark.parametrize("way", WAYS, ids=lambda w: type(w).__name__)
def test_the_same_whatever_the_batch_and_on_a_mesh(way, decoder, params):
    together = decode(decoder, params, ROWS, way, batch_size=8)
    assert tokens_of(decode(decoder, params, ROWS, way, batch_size=2)) == tokens_of(together)
    on_mesh, placed = spread_out(params, decoder.tokenizer)
    spread = decode(on_mesh, placed, ROWS, way, batch_size=8)
    assert tokens_of(spread) == tokens_of(together)
    for a, b in zip(together, spread, strict=True):
        np.testing.assert_allclose([o.score for o in a], [o.score for o in b], rtol=1e-4)


def test_scores_equal_teacher_forced_log_likelihood(decoder, params):
    targets = [np.array([7, 9, 1], np.int32), *([np.array([50, 1], np.int32)] * 4)]
    got = score(decoder, params, ROWS, targets, batch_size=2)
    model = decoder.model
    for row, target, scored in zip(ROWS, targets, got, strict=True):
        batch = {
            "encoder": {"tokens": row[None]},
            "decoder": {"tokens": np.array([[0, *target[:-1]]], np.int32)},
        }
        logits = np.asarray(model.logits(params, model.forward(params, batch)[0]), np.float64)[0]
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        want = logs[np.arange(len(target)), target]
        np.testing.assert_allclose(scored.log_probabilities, want, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def choices():
    """Two to five of a row, of several lengths."""
    rng = np.random.default_rng(4)
    lengths = [(2, 3), (4, 1, 20), (3, 3), (2, 2, 5, 1, 1), (6, 7, 2)]
    return [[rng.integers(2, 100, n).astype(np.int32) for n in of] for of in lengths]


def test_ranking_compares_what_scoring_says(decoder, params, choices):
    for by in ("sum", "mean"):
        ranked = rank(decoder, params, ROWS, choices, by=by, batch_size=4)
        for row, of, got in zip(ROWS, choices, ranked, strict=True):
            want = [s.score for s in score(decoder, params, [row] * len(of), of)]
            want = [w / (len(c) if by == "mean" else 1) for w, c in zip(want, of, strict=True)]
            np.testing.assert_allclose(got.scores, want, rtol=1e-5)
            assert got.best == int(np.argmax(want))


def test_ranking_encodes_an_input_once_for_all_its_choices(decoder, params, choices):
    shapes = []

    def watched(params, batch):
        shapes.append((batch["encoder"]["tokens"].shape[0], batch["decoder"]["tokens"].shape[0]))
        return decoder.model.forward(params, batch)

    watching = make_decoder(decoder.model._replace(forward=watched), decoder.tokenizer)
    rank(watching, params, ROWS, choices)
    assert sorted(shapes) == [(1, 6), (2, 4), (2, 6)]  # five choices are padded to six


def test_ranking_on_a_mesh_is_the_same(decoder, params, choices):
    on_mesh, placed = spread_out(params, decoder.tokenizer)
    want = rank(decoder, params, ROWS, choices)
    for a, b in zip(want, rank(on_mesh, placed, ROWS, choices), strict=True):
        assert a.best == b.best
        np.testing.assert_allclose(a.scores, b.scores, rtol=1e-5)


@pytest.mark.parametrize("way", [Greedy(max_tokens=12), Beam(max_tokens=12, beams=3)])
def test_bfloat16_writes_what_float32_finds_about_as_likely(way, decoder, params):
    half = make_decoder(build(architecture(dtype="bfloat16")), decoder.tokenizer)
    outputs = [best for (best, *_) in decode(half, params, ROWS, way)]
    ended = [[1] if output.ended == "eos" else [] for output in outputs]
    written = [
        np.array(output.tokens + end, np.int32) for output, end in zip(outputs, ended, strict=True)
    ]
    scored = score(decoder, params, ROWS, written)
    for output, exact in zip(outputs, scored, strict=True):
        np.testing.assert_allclose(output.log_probabilities, exact.log_probabilities, atol=0.3)
    own = score(half, params, ROWS, written)
    for output, again in zip(outputs, own, strict=True):
        np.testing.assert_allclose(output.log_probabilities, again.log_probabilities, atol=0.1)


def test_a_written_text_scores_what_its_writer_says(decoder, params):
    written = decode(decoder, params, ROWS, Beam(max_tokens=9, prefix="ab"))
    for row, (best,) in zip(ROWS, written, strict=True):
        assert best.text.startswith("ab")
        target = [*best.tokens, 1] if best.ended == "eos" else best.tokens
        (scored,) = score(decoder, params, [row], [np.array(target, np.int32)])
        np.testing.assert_allclose(scored.log_probabilities[2:], best.log_probabilities, atol=1e-4)


@pytest.mark.parametrize(
    "config", [Sample(), Sample(temperature=0.5), Sample(top_k=3), Sample(top_p=0.7)]
)
def test_sampled_frequencies_follow_the_distribution(config):
    logits = np.random.default_rng(1).normal(size=12).astype(np.float32)
    p = np.exp(logits.astype(np.float64) / config.temperature)
    order = np.argsort(-p)
    if config.top_k:
        p[order[config.top_k :]] = 0
    p /= p.sum()
    if config.top_p < 1:
        p[order[np.searchsorted(np.cumsum(p[order]), config.top_p) + 1 :]] = 0
        p /= p.sum()
    keys = jax.random.split(jax.random.key(0), 20_000)
    cut = truncated(jnp.asarray(logits), config)
    drawn = np.bincount(jax.vmap(lambda k: jax.random.categorical(k, cut))(keys), minlength=12)
    assert (drawn[p == 0] == 0).all()
    assert stats.chisquare(drawn[p > 0], 20_000 * p[p > 0]).pvalue > 1e-3


def test_the_first_sampled_token_follows_the_model(decoder, params):
    config = Sample(max_tokens=1, samples=4000, top_k=8)
    (outputs,) = decode(decoder, params, ROWS[:1], config)
    drawn = {}
    for output in outputs:
        token = output.tokens[0] if output.tokens else 1
        drawn[token] = (drawn.get(token, (0,))[0] + 1, output.log_probabilities[0])
    counts = np.array([count for count, _ in drawn.values()])
    p = np.exp(np.array([log for _, log in drawn.values()], np.float64))
    assert len(drawn) == 8
    assert stats.chisquare(counts, 4000 * p / p.sum()).pvalue > 1e-3


def test_a_stop_string_cuts_what_would_have_been_written(decoder, params):
    free = decode(decoder, params, ROWS, Greedy(max_tokens=12))
    text = free[0][0].text
    stop = text[3:5]
    for (got,), (whole,) in zip(
        decode(decoder, params, ROWS, Greedy(max_tokens=12, stop=(stop,))), free, strict=True
    ):
        assert got.text == whole.text.partition(stop)[0]
        assert (got.ended == "stop") == (stop in whole.text)
        assert got.tokens == whole.tokens[: len(got.tokens)]


def test_the_automaton_finds_what_find_finds():
    tokenizer = ByteTokenizer()
    stop = ("aab", "ba", "é")
    table = automaton(tokenizer, stop, 384)
    rng = np.random.default_rng(2)
    for _ in range(200):
        text = "".join(rng.choice(list("abé c"), 6, p=[0.3, 0.2, 0.05, 0.15, 0.3]))
        state = 0
        for token in tokenizer.encode([text])[0]:
            state = table[state, token]
        assert (state == len(table) - 1) == any(s in text for s in stop)
