"""Distillation against NumPy, term by term; in chunks as at once; the layers that a student takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from t2t.models.families import bert, distilbert
from t2t.models.transformer import build
from t2t.training.teacher import student_of
from t2t.vocabulary_loss import Chunks
from t2t.wiring import teacher_student
from t2t.wiring.masked import at_places

SMALL = {"vocab_size": 128, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 32, "dropout": 0.0}
SMALL |= {"learned_positions": 12}
WEIGHTS, TEMPERATURE = (5.0, 2.0, 1.0), 2.0


@pytest.fixture(scope="module")
def networks():
    teacher = build(bert.architecture("base", **SMALL, encoder_layers=3))
    student = build(distilbert.architecture("base", **SMALL, encoder_layers=2))
    noise = lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape)
    theirs = jax.tree.map(noise, teacher.init(jax.random.key(0)))
    return student, teacher, jax.tree.map(noise, student.init(jax.random.key(1))), theirs


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 128, (3, 12)).astype(np.int32)
    segments = np.ones((3, 12), np.int32)
    segments[1, 9:] = 0
    places = np.array([[2, 5, 0], [1, 7, 8], [3, 0, 0]], np.int32)
    weights = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0]], np.float32)
    targets = rng.integers(5, 128, (3, 3)).astype(np.int32)
    side = {"tokens": tokens, "segments": segments}
    return {"encoder": side, "places": places, "targets": targets, "weights": weights}


def value(networks, batch, weights, chunks=None):
    student, teacher, params, theirs = networks
    loss_fn = teacher_student.loss_function(
        student, teacher, weights, TEMPERATURE, 0.0, 0.0, chunks
    )
    differentiate = jax.jit(jax.value_and_grad(loss_fn, has_aux=True, argnums=(0, 1)))
    return differentiate(params, {"teacher": theirs}, {}, batch, None)


def test_each_term_is_that_of_numpy(networks, batch):
    student, teacher, params, theirs = networks
    (loss, (sums, _)), (gradient, above) = value(networks, batch, WEIGHTS)
    states = [m.forward(p, batch)[0] for m, p in ((student, params), (teacher, theirs))]
    s, t = (
        np.asarray(m.logits(p, x), np.float64)
        for m, p, x in zip((student, teacher), (params, theirs), states, strict=True)
    )
    real, count = batch["encoder"]["segments"] > 0, batch["weights"].sum()
    p, q = (log_softmax(x / TEMPERATURE, axis=-1) for x in (s, t))
    apart = (np.exp(q) * (q - p)).sum(-1)[real].mean() * TEMPERATURE**2
    x, y = (np.asarray(a, np.float64)[real] for a in states)
    norms = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    turned = (1 - (x * y).sum(-1) / norms).mean()
    p, q = (
        log_softmax(np.asarray(at_places(a, batch["places"]), np.float64), axis=-1)
        for a in (jnp.asarray(s), jnp.asarray(t))
    )
    masked = -np.take_along_axis(p, batch["targets"][..., None], -1)[..., 0]
    closeness = ((np.exp(q) * (q - p)).sum(-1) * batch["weights"]).sum()
    masked = (masked * batch["weights"]).sum()
    for name, wanted in (
        ("loss", masked),
        ("teacher_divergence", closeness),
        ("divergence_loss", apart * count),
        ("cosine_loss", turned * count),
    ):
        np.testing.assert_allclose(sums[name], wanted, rtol=2e-5, err_msg=name)
    wanted = 5 * apart * count + 2 * masked + turned * count
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    # Nothing pulls at the teacher; everything of the student is pulled at.
    assert all(not np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(above))
    assert all(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(gradient))


def test_in_chunks_it_is_the_same(networks, batch):
    (at_once, (sums, _)), (gradient, _) = value(networks, batch, WEIGHTS)
    (pieces, (others, _)), (again, above) = value(networks, batch, WEIGHTS, Chunks(None, 5))
    np.testing.assert_allclose(pieces, at_once, rtol=1e-5)
    assert sums.keys() == others.keys()
    for name in sums:
        np.testing.assert_allclose(others[name], sums[name], rtol=1e-5, err_msg=name)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), again, gradient
    )
    assert all(not np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(above))


def test_a_term_without_weight_is_not_computed(networks, batch):
    (loss, (sums, _)), _ = value(networks, batch, (0.0, 1.0, 0.0))
    assert "divergence_loss" not in sums and "cosine_loss" not in sums
    assert float(loss) == pytest.approx(float(sums["loss"]), rel=1e-6)


def test_a_student_of_all_layers_is_its_teacher(networks):
    _, teacher, _, theirs = networks
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = lambda model: jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), model.shapes
    )
    whole = student_of(theirs, (0, 1, 2), wanted(teacher))
    jax.tree.map(np.testing.assert_array_equal, whole, theirs)
    student = networks[0]
    taken = student_of(theirs, (0, 2), wanted(student))
    assert "pair_head" not in taken and "type_embedding" not in taken
    kernel = lambda tree: np.asarray(tree["encoder"]["layers"]["feed_forward"]["wi"]["kernel"])
    np.testing.assert_array_equal(kernel(taken), kernel(theirs)[[0, 2]])
