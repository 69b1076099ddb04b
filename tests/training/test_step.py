from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t2t.training import step as steps


class Counted(NamedTuple):
    count: jax.Array
    inner: optax.OptState


def loss_fn(params, frozen, carry, batch, rng):
    """Weighted squared error of a linear model, summed; its gradient is easy to write down."""
    del frozen, rng
    error = (batch["x"] @ params["w"] - batch["y"]) * batch["weights"]
    sums = {
        "loss": jnp.sum(error**2),
        "z_loss": jnp.zeros(()),
        "correct": jnp.zeros(()),
        "weight": jnp.sum(batch["weights"]),
    }
    return sums["loss"], (sums, carry)


def batch_of(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, 3)).astype(np.float32),
        "y": rng.normal(size=rows).astype(np.float32),
        "weights": rng.integers(0, 2, size=rows).astype(np.float32),
    }


def counted(optimizer):
    """The optimizer with the count of updates in its state, as all of t2t's have."""

    def init(params):
        return Counted(jnp.zeros((), jnp.int32), optimizer.init(params))

    def update(gradients, state, params=None):
        updates, inner = optimizer.update(gradients, state.inner, params)
        return updates, Counted(state.count + 1, inner)

    return optax.GradientTransformation(init, update)


def state_of(optimizer):
    params = {"w": jnp.array([1.0, -2.0, 0.5])}
    return {
        "params": params,
        "frozen": {},
        "carry": {},
        "opt_state": optimizer.init(params),
        "step": jnp.zeros((), jnp.int32),
    }


def run(batch, optimizer=None, **options):
    optimizer = optimizer or counted(optax.sgd(0.1))
    step = steps.train_step(loss_fn, optimizer, lambda _: 0.1, **options)
    return jax.jit(step)(state_of(optimizer), batch)


def gradient(batch):
    """The mean-loss gradient in float64, from the formula."""
    x, y, w = (batch[k].astype(np.float64) for k in ("x", "y", "weights"))
    return 2 * ((x @ np.array([1.0, -2.0, 0.5]) - y) * w**2) @ x / w.sum()


def test_one_step_of_sgd_is_the_formula():
    batch = batch_of(8)
    state, metrics = run(batch)
    expected = np.array([1.0, -2.0, 0.5]) - 0.1 * gradient(batch)
    np.testing.assert_allclose(state["params"]["w"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(gradient(batch)), rtol=1e-5)
    np.testing.assert_allclose(
        metrics["update_norm"], 0.1 * np.linalg.norm(gradient(batch)), rtol=1e-5
    )
    assert state["step"] == 1 and metrics["skipped"] == 0


@pytest.mark.parametrize("microbatches", [2, 4, 8])
def test_accumulation_weighs_every_token_alike(microbatches):
    batch = batch_of(8, seed=3)  # microbatches with very different counts of target tokens
    whole, _ = run(batch)
    parts, metrics = run(batch, microbatches=microbatches)
    np.testing.assert_allclose(parts["params"]["w"], whole["params"]["w"], rtol=1e-5)
    assert metrics["weight"] == batch["weights"].sum()


def test_clipping_scales_to_the_maximum_norm_and_reports_the_norm_before():
    batch = batch_of(8)
    state, metrics = run(batch, maximum_norm=0.01)
    moved = np.linalg.norm(np.asarray(state["params"]["w"]) - [1.0, -2.0, 0.5])
    np.testing.assert_allclose(moved, 0.1 * 0.01, rtol=1e-3)
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(gradient(batch)), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_that_is_not_finite_changes_nothing_but_the_count(bad):
    batch = batch_of(8)
    batch["x"][2, 1] = bad
    batch["weights"][2] = 1
    optimizer = counted(optax.adam(0.1))
    before = state_of(optimizer)
    state, metrics = run(batch, optimizer)
    assert metrics["skipped"] == 1 and state["step"] == 1
    for new, old in zip(
        jax.tree.leaves((state["params"], state["opt_state"])),
        jax.tree.leaves((before["params"], before["opt_state"])),
        strict=True,
    ):
        np.testing.assert_array_equal(new, old)


def test_dropout_keys_follow_the_step():
    seen = []

    def noisy(params, frozen, carry, batch, rng):
        draw = jax.random.uniform(rng)
        seen.append(rng)
        sums = {"loss": draw + 0 * params["w"].sum(), "z_loss": 0.0, "correct": 0.0, "weight": 1.0}
        return sums["loss"], ({k: jnp.asarray(v) for k, v in sums.items()}, carry)

    optimizer = counted(optax.sgd(0.0))
    key = jax.random.key(7)
    step = jax.jit(steps.train_step(noisy, optimizer, lambda _: 0.0, dropout_key=key))
    state = state_of(optimizer)
    losses = []
    for _ in range(3):
        state, metrics = step(state, batch_of(2))
        losses.append(float(metrics["loss"]))
    expected = [float(jax.random.uniform(jax.random.fold_in(key, i))) for i in range(3)]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
