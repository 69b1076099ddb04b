"""Cross-entropy against plain autodiff in float64, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.losses import cross_entropy


def plain(logits, targets, weights, z_loss, smoothing):
    """T5X's loss from its definition, by log_softmax and one-hot rows."""
    vocabulary = logits.shape[-1]
    log_p = jax.nn.log_softmax(logits)
    hot = jax.nn.one_hot(targets, vocabulary, dtype=logits.dtype)
    off = smoothing / (vocabulary - 1)
    soft = hot * (1 - smoothing) + (1 - hot) * off
    entropy = -((1 - smoothing) * np.log(1 - smoothing))
    if smoothing:
        entropy -= (vocabulary - 1) * off * np.log(off)
    log_z = jax.scipy.special.logsumexp(logits, axis=-1)
    return {
        "loss": jnp.sum(-jnp.sum(hot * log_p, -1) * weights),
        "objective": jnp.sum((-jnp.sum(soft * log_p, -1) - entropy + z_loss * log_z**2) * weights),
        "z_loss": jnp.sum(z_loss * log_z**2 * weights),
        "correct": jnp.sum((jnp.argmax(logits, -1) == targets) * weights),
        "weight": jnp.sum(weights),
    }


def case(dtype):
    rng = np.random.default_rng(0)
    logits = jnp.asarray(5 * rng.normal(size=(3, 7, 50)), dtype)
    targets = jnp.asarray(rng.integers(0, 50, (3, 7)), jnp.int32)
    weights = jnp.asarray(rng.integers(0, 2, (3, 7)), dtype)
    return logits, targets.at[:, 0].set(jnp.argmax(logits[:, 0], -1)), weights


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_values_and_gradients_equal_plain_autodiff_in_float64(z_loss, smoothing):
    with jax.enable_x64(True):
        logits, targets, weights = case(jnp.float64)
        got = cross_entropy(logits, targets, weights, z_loss, smoothing)
        want = plain(logits, targets, weights, z_loss, smoothing)
        assert got.keys() == want.keys()
        for name, value in want.items():
            assert got[name].dtype == jnp.float64
            np.testing.assert_allclose(got[name], value, rtol=1e-12)

        # Any mix of the differentiable sums.
        def mixed(function):
            def total(x):
                sums = function(x, targets, weights, z_loss, smoothing)
                return 1.3 * sums["objective"] - 0.4 * sums["loss"] + 2 * sums["z_loss"]

            return jax.grad(total)(logits)

        gradient = mixed(cross_entropy)
        assert gradient.dtype == jnp.float64
        np.testing.assert_allclose(gradient, mixed(plain), rtol=1e-10, atol=1e-13)


def test_gradient_equals_finite_differences():
    with jax.enable_x64(True):
        logits, targets, weights = case(jnp.float64)

        def objective(x):
            return cross_entropy(x, targets, weights, 1e-2, 0.1)["objective"]

        gradient = jax.grad(objective)(logits)
        direction = jnp.asarray(np.random.default_rng(1).normal(size=logits.shape))
        step = 1e-5 * direction
        numeric = (objective(logits + step) - objective(logits - step)) / 2e-5
        np.testing.assert_allclose(jnp.vdot(gradient, direction), numeric, rtol=1e-7)


def test_bfloat16_logits_are_summed_in_float32():
    logits, targets, weights = case(jnp.bfloat16)
    sums = cross_entropy(logits, targets, weights, 1e-4, 0.0)
    want = plain(logits.astype(jnp.float32), targets, weights.astype(jnp.float32), 1e-4, 0.0)
    for name, value in want.items():
        assert sums[name].dtype == jnp.float32
        np.testing.assert_allclose(sums[name], value, rtol=1e-5)
    gradient = jax.grad(lambda x: cross_entropy(x, targets, weights)["objective"])(logits)
    assert gradient.dtype == jnp.bfloat16


def test_perfect_smoothed_prediction_costs_nothing():
    vocabulary, smoothing = 20, 0.1
    off = smoothing / (vocabulary - 1)
    logits = jnp.log(jnp.full((1, vocabulary), off).at[0, 3].set(1 - smoothing))
    sums = cross_entropy(logits, jnp.array([3]), jnp.ones(1), 0.0, smoothing)
    assert abs(float(sums["objective"])) < 1e-5
    assert float(sums["loss"]) == pytest.approx(-np.log(1 - smoothing), rel=1e-5)


def test_huge_logits_stay_finite():
    logits = jnp.array([[1e4, -1e4, 0.0]])
    sums = cross_entropy(logits, jnp.array([1]), jnp.ones(1), 0.0, 0.0)
    assert float(sums["loss"]) == pytest.approx(2e4)
    gradient = jax.grad(lambda x: cross_entropy(x, jnp.array([1]), jnp.ones(1))["loss"])(logits)
    np.testing.assert_allclose(gradient, [[1, -1, 0]], atol=1e-6)


def test_traces_neither_gather_nor_scatter():
    logits, targets, weights = case(jnp.float32)
    value_and_gradient = jax.value_and_grad(
        lambda x: cross_entropy(x, targets, weights, 1e-4, 0.1)["objective"]
    )
    text = jax.jit(value_and_gradient).lower(logits).as_text()
    assert "gather" not in text
    assert "scatter" not in text
