"""ELECTRA's two networks against NumPy: what is written over, what is told, whose gradient it is."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.data.order import random_bits
from t2t.models.families import electra
from t2t.models.transformer import build
from t2t.objectives import masked_lm
from t2t.objectives.config import MaskedLM
from t2t.wiring import generator_discriminator as gd
from t2t.wiring.masked import at_places
from tests.objectives.real_text import books

SMALL = {"vocab_size": 128, "encoder_layers": 1, "learned_positions": 16, "dropout": 0.0}


def count(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def on_device(batch):
    return jax.tree.map(jnp.asarray, batch)


@pytest.fixture(scope="module")
def networks():
    model = build(
        electra.architecture(
            "small", d_model=32, heads=2, head_dim=16, d_ff=64, d_embedding=16, **SMALL
        )
    )
    generator = build(
        electra.generator(
            "small", d_model=16, heads=1, head_dim=16, d_ff=32, d_embedding=0, **SMALL
        )
    )
    params = gd.both(model, generator).init(jax.random.key(0))
    noise = lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape)
    return model, generator, jax.tree.map(noise, params)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 128, (4, 16)).astype(np.int32)
    segments = np.ones((4, 16), np.int32)
    segments[:, 14:] = 0
    places = np.array([[2, 5, 0], [1, 7, 13], [3, 0, 0], [4, 6, 8]], np.int32)
    weights = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]], np.float32)
    targets = np.where(weights > 0, np.take_along_axis(tokens, places, 1), 0).astype(np.int32)
    for row, place, weight in zip(tokens, places, weights, strict=True):
        row[place[weight > 0]] = 4  # [MASK]
    return {
        "encoder": {"tokens": tokens, "segments": segments},
        "places": places,
        "targets": targets,
        "weights": weights,
        "sample": np.arange(4, dtype=np.int32),
    }


def test_the_embedding_stands_once():
    """Published: discriminator 13,549,057, generator 4,620,026, each with its own embedding."""
    model = build(electra.architecture("small", vocab_size=30522))
    generator = build(electra.generator("small", vocab_size=30522))
    assert (count(model.shapes), count(generator.shapes)) == (13_549_057, 4_620_026)
    shared = (30522 + 512 + 2 + 2) * 128  # tokens, positions, types, and a norm
    assert count(gd.both(model, generator).shapes) == 13_549_057 + 4_620_026 - shared


def test_what_the_generator_writes_stands_at_its_places_alone(batch):
    wanted = np.array([[9, 8, 7], [6, 5, 9], [8, 7, 6], [5, 9, 8]])
    certain = jnp.where(jnp.arange(128) == wanted[..., None], 0.0, -1e9)
    original, corrupted = map(np.asarray, gd._written_over(on_device(batch), certain))
    expected = batch["encoder"]["tokens"].copy()
    whole = expected.copy()
    for row in range(4):
        for place, token, target, weight in zip(
            batch["places"][row],
            wanted[row],
            batch["targets"][row],
            batch["weights"][row],
            strict=True,
        ):
            if weight:
                expected[row, place], whole[row, place] = token, target
    np.testing.assert_array_equal(corrupted, expected)
    np.testing.assert_array_equal(original, whole)


def test_losses_are_those_of_numpy_and_gradients_go_where_they_should(networks, batch):
    model, generator, params = networks

    def loss_fn(weight):
        function = gd.loss_function(model, generator, 0.0, 0.0, weight)
        return jax.jit(jax.value_and_grad(function, has_aux=True))

    (loss, (sums, _)), gradient = loss_fn(50.0)(params, {}, {}, batch, None)
    shared = {k: v for k, v in params["discriminator"].items() if k in gd.SHARED}
    theirs = {**params["generator"], **shared}
    hidden = generator.forward(theirs, batch)[0]
    logits = np.asarray(generator.logits(theirs, at_places(hidden, batch["places"])), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = np.take_along_axis(log_p, batch["targets"][..., None], -1)[..., 0]
    masked = -(picked * batch["weights"]).sum()
    original, corrupted = map(
        np.asarray, gd._written_over(on_device(batch), jnp.asarray(logits, jnp.float32))
    )
    read = {**batch["encoder"], "tokens": corrupted}
    hidden = model.forward(params["discriminator"], {"encoder": read})[0]
    x = np.asarray(model.replaced_logits(params["discriminator"], hidden), np.float64)
    replaced, there = corrupted != original, batch["encoder"]["segments"] > 0
    told = np.where(replaced, np.log1p(np.exp(-x)), np.log1p(np.exp(x)))[there].mean()
    weight = batch["weights"].sum()
    np.testing.assert_allclose(sums["loss"], masked, rtol=1e-5)
    np.testing.assert_allclose(loss, masked + 50 * told * weight, rtol=1e-5)
    np.testing.assert_allclose(sums["replaced_loss"] / weight, told, rtol=1e-5)
    right = ((x > 0) == replaced)[there].mean()
    np.testing.assert_allclose(sums["replaced_accuracy"] / weight, right, rtol=1e-5)
    np.testing.assert_allclose(
        sums["original_share"] / weight, 1 - replaced[there].mean(), rtol=1e-5
    )
    assert replaced.any() and not replaced[~there].any()
    # The generator learns from its own loss alone; the table that both read from both.
    _, other = loss_fn(1.0)(params, {}, {}, batch, None)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        gradient["generator"],
        other["generator"],
    )
    table = lambda tree: tree["discriminator"]["token_embedding"]["table"]
    assert float(jnp.abs(table(gradient) - table(other)).max()) > 1e-2


def test_labels_on_real_text_are_counted(shared_data):
    """Of 15 % of the places a generator that is right three times in ten replaces seven in ten."""
    facts, documents = books(str(shared_data / "corpora" / "books.validation.jsonl.gz"))
    cfg = MaskedLM(128, masked=0.85, random=0.0)
    raw, rows = masked_lm.raw_length(cfg), 160
    text = np.concatenate(documents)[: rows * raw].reshape(rows, raw)
    draw = functools.partial(random_bits, 7, "test", np.arange(rows))
    batch = masked_lm.make_packed_batch(
        cfg, facts, text.ravel(), np.arange(rows) * raw, np.full(rows, raw), np.ones(rows, int), draw, True
    )  # fmt: skip
    right, others = 0.3, 40  # any of 40 pieces besides, all alike
    near = lambda found, chance, of: (
        abs(found - chance * of) < 4 * math.sqrt(of * chance * (1 - chance))
    )
    replaced, wrong = 0, np.zeros(others, int)
    for begin in range(0, rows, 80):
        part = jax.tree.map(lambda x, b=begin: jnp.asarray(x[b : b + 80]), batch)
        part["sample"] = jnp.arange(begin, begin + 80)
        size = facts.size
        logits = jnp.where(jnp.arange(size) < size - others, -1e9, math.log((1 - right) / others))
        logits = jnp.where(jnp.arange(size) == part["targets"][..., None], math.log(right), logits)
        original, corrupted = map(np.asarray, gd._written_over(part, logits))
        np.testing.assert_array_equal(original[:, 1:-1], text[begin : begin + 80])
        label = corrupted != original
        allowed = np.zeros(label.shape, bool)
        np.put_along_axis(allowed, np.asarray(part["places"]), True, axis=1)
        assert not label[~allowed].any()
        replaced += label.sum()
        wrong += np.bincount(corrupted[label] - (size - others), minlength=others)
    # A target that is itself one of the 40 takes its part of them: none is among the common words.
    of = int(batch["weights"].sum())
    assert of == rows * 19  # 15 % of 128
    assert near(replaced, 1 - right, of)
    assert all(near(one, 1 / others, replaced) for one in wrong)
