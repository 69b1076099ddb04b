"""bfloat16 optimizer state against float32 state, and against what rounding to the nearest does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t2t.training.fingerprints import mix
from t2t.training.optimizer_config import Adafactor, AdamW, AdamWScale, Optax
from t2t.training.optimizers import build
from t2t.training.state_dtype import rounded

AXES = {"wi": {"kernel": ("layers", "embed", "mlp")}, "norm": {"scale": ("norm",)}}


def parameters():
    rng = np.random.default_rng(0)
    return {
        "wi": {"kernel": jnp.asarray(rng.normal(size=(2, 48, 32)), jnp.float32)},
        "norm": {"scale": jnp.ones(48)},
    }


def optimized(cfg, steps):
    """A quadratic with noise, minimised: (parameters, state)."""
    goal, params = jax.tree.map(lambda p: p + 1, parameters()), parameters()
    optimizer = build(cfg, lambda count: jnp.float32(0.02), AXES)

    @jax.jit
    def step(params, state, key):
        noise = jax.tree.map(lambda p: jax.random.normal(key, p.shape), params)
        gradients = jax.tree.map(lambda p, g, n: p - g + 0.1 * n, params, goal, noise)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for i in range(steps):
        params, state = step(params, state, jax.random.fold_in(jax.random.key(1), i))
    return params, state, goal


@pytest.mark.parametrize(
    "cfg",
    [
        Adafactor(min_dim_size_to_factor=16, momentum=0.9),
        Adafactor(factored=False),
        AdamW(),
        AdamWScale(),
        Optax("adam"),
        Optax("sgd", (("momentum", 0.9),)),
    ],
    ids=lambda cfg: getattr(cfg, "name", type(cfg).__name__),
)
def test_training_goes_as_with_float32_state(cfg):
    steps = 60
    plain, whole, goal = optimized(cfg, steps)
    params, state, _ = optimized(type(cfg)(**{**vars(cfg), "state_dtype": "bfloat16"}), steps)
    assert jax.tree.structure(state) == jax.tree.structure(whole)
    arrays = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert arrays and all(leaf.dtype == jnp.bfloat16 for leaf in arrays)
    assert state.count.dtype == jnp.int32 and int(state.count) == steps
    start = parameters()
    for p, q, begun in zip(*map(jax.tree.leaves, (params, plain, start)), strict=True):
        moved = float(jnp.linalg.norm(q - begun))
        assert moved > 0.05 * float(jnp.linalg.norm(begun))
        assert float(jnp.linalg.norm(p - q)) < 0.02 * moved


def test_a_slow_moment_decays_where_the_nearest_number_would_stand_still():
    steps, decay = 400, 0.999
    optimizer = build(AdamW(b2=decay, state_dtype="bfloat16"), lambda count: jnp.float32(0.0), AXES)
    params = parameters()
    state = optimizer.init(params)
    ones = jax.tree.map(jnp.ones_like, params)
    _, state = optimizer.update(ones, state, params)
    begun = state.second["wi"]["kernel"].astype(jnp.float32)
    zeros = jax.tree.map(jnp.zeros_like, params)
    update = jax.jit(lambda state: optimizer.update(zeros, state, params)[1])
    for _ in range(steps):
        state = update(state)
    moment = state.second["wi"]["kernel"].astype(jnp.float32)
    np.testing.assert_allclose(moment.mean(), begun.mean() * decay**steps, rtol=0.01)
    nearest = begun.astype(jnp.bfloat16)
    assert ((nearest.astype(jnp.float32) * decay).astype(jnp.bfloat16) == nearest).all()


def test_rounding_is_right_on_average_and_exact_where_it_can_be():
    draws = mix(jnp.arange(1 << 16, dtype=jnp.uint32))
    for value in (1 + 1 / 1000, -3.3, 1e-30):
        got = rounded(jnp.full(draws.shape, value, jnp.float32), draws).astype(jnp.float32)
        assert len(np.unique(got)) == 2  # its two neighbours
        np.testing.assert_allclose(np.mean(np.asarray(got, np.float64)), value, rtol=5e-5)
    for value in (0.0, 1.5, -2.0, np.inf, -np.inf):
        assert (rounded(jnp.full(draws.shape, value, jnp.float32), draws) == value).all()
    assert jnp.isnan(rounded(jnp.full(draws.shape, jnp.nan, jnp.float32), draws)).all()
