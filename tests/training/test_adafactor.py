"""T5's Adafactor against plain NumPy in float64, one layer at a time, and against optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t2t.training.adafactor import Factored, Whole, adafactor
from t2t.training.optimizer_config import Adafactor
from t2t.training.optimizers import state_axes

LAYERS = 3
AXES = {
    "layers": {
        "query": ("layers", "embed", "heads*kv"),
        "wi": ("layers", "embed", "mlp"),
        "norm": ("layers", "norm"),
        "relative_bias": ("layers", "heads", "buckets"),
    },
    "embedding": ("vocab", "embed"),
    "square": ("embed", "mlp"),
    "scale": ("norm",),
}
SHAPES = {
    "layers": {
        "query": (LAYERS, 160, 128),
        "wi": (LAYERS, 160, 300),
        "norm": (LAYERS, 160),
        "relative_bias": (LAYERS, 4, 32),
    },
    "embedding": (515, 160),
    "square": (160, 160),
    "scale": (160,),
}


def is_shape(x):
    return isinstance(x, tuple)


def random_tree(seed: int, spread) -> dict:
    """Normal arrays; every layer of a stack times its own factor, so that mixing layers shows."""
    rng = np.random.default_rng(seed)

    def one(shape):
        x = rng.normal(size=shape)
        if shape[0] == LAYERS:
            x *= np.asarray(spread).reshape(-1, *[1] * (len(shape) - 1))
        return x.astype(np.float32)

    return jax.tree.map(one, SHAPES, is_leaf=is_shape)


def rate(step):
    """Changes at every step, so that an update off by one shows."""
    return 0.01 / (1 + jnp.asarray(step, jnp.float32))


class PlainAdafactor:
    """One parameter of one layer in float64, from the paper's algorithms 4 and 5 with T5's values.

    Factored: R and C are decaying row and column SUMS over means alike; V = R C / mean(R).
    """

    def __init__(self, p, momentum=None, least=128, scale=True, threshold=1.0, decay=0.0):
        self.p = p.astype(np.float64)
        self.momentum, self.scale, self.threshold, self.decay = momentum, scale, threshold, decay
        self.factored = p.ndim == 2 and min(p.shape) >= least
        self.v = np.zeros(p.shape)
        self.r = np.zeros(p.shape[:1])
        self.c = np.zeros(p.shape[-1:])
        self.m = np.zeros(p.shape)

    def step(self, g, t):
        g = g.astype(np.float64)
        beta = 1 - (t + 1) ** -0.8
        squared = g**2 + 1e-30
        if self.factored:
            self.r = beta * self.r + (1 - beta) * squared.mean(1)
            self.c = beta * self.c + (1 - beta) * squared.mean(0)
            v = np.outer(self.r, self.c) / self.r.mean()
        else:
            self.v = beta * self.v + (1 - beta) * squared
            v = self.v
        update = g / np.sqrt(v)
        update /= max(1.0, np.sqrt(np.mean(update**2)) / self.threshold)
        lr = 0.01 / (1 + t)
        update *= lr
        if self.scale:
            update *= max(1e-3, np.sqrt(np.mean(self.p**2)))
        if self.momentum is not None:
            self.m = self.momentum * self.m + (1 - self.momentum) * update
            update = self.m
        self.p = self.p - update - lr * self.decay * self.p
        return self.p


def layer_by_layer(params, gradients, **kind):
    """Ten steps of every parameter of every layer on its own, put together again."""

    def one(p, *gs):
        if p.shape[0] == LAYERS:
            return np.stack([one(p[i], *[g[i] for g in gs]) for i in range(LAYERS)])
        plain = PlainAdafactor(p, **kind)
        for t, g in enumerate(gs):
            result = plain.step(g, t)
        return result

    return jax.tree.map(one, params, *gradients)


@pytest.mark.parametrize(
    "cfg, kind",
    [
        (Adafactor(), {}),
        (Adafactor(momentum=0.9), {"momentum": 0.9}),
        (Adafactor(factored=False), {"least": 10**9}),
        (
            Adafactor(multiply_by_parameter_scale=False, clipping_threshold=0.5),
            {"scale": False, "threshold": 0.5},
        ),
        (
            Adafactor(weight_decay=0.3, decay_kinds=("kernel", "embedding", "norm", "bias")),
            {"decay": 0.3},
        ),
    ],
)
def test_ten_steps_on_stacks_equal_layer_by_layer(cfg, kind):
    params = random_tree(0, [0.0, 1.0, 30.0])  # a layer of zeros: the minimum parameter scale
    gradients = [random_tree(1 + t, [1e-4, 1.0, 100.0 * (t % 3)]) for t in range(10)]
    tx = adafactor(cfg, rate, AXES)
    step = jax.jit(
        lambda g, s, p: (lambda u, s: (optax.apply_updates(p, u), s))(*tx.update(g, s, p))
    )
    found, state = params, tx.init(params)
    for g in gradients:
        found, state = step(g, state, found)
    wanted = layer_by_layer(params, gradients, **kind)
    for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(found), strict=True):
        for x, y in zip(a, b, strict=True) if a.shape[0] == LAYERS else [(a, b)]:
            # Rounding of float32 parameters over ten steps: a few units in the last place.
            np.testing.assert_allclose(y, x, rtol=2e-6, atol=2e-6 * np.abs(x).max() + 1e-12)
    assert int(state.count) == 10


def test_layers_are_not_mixed_where_optax_mixes_them():
    p = {
        "w": np.random.default_rng(0).normal(size=(4, 256, 128)).astype(np.float32)
        * np.array([0.1, 1, 3, 10], np.float32)[:, None, None]
    }
    g = {"w": np.random.default_rng(1).normal(size=(4, 256, 128)).astype(np.float32)}
    tx = adafactor(Adafactor(), lambda t: jnp.float32(1.0), {"w": ("layers", "embed", "mlp")})
    u = np.asarray(tx.update(g, tx.init(p), p)[0]["w"])
    np.testing.assert_allclose(np.sqrt((u**2).mean((1, 2))), [0.1, 1, 3, 10], rtol=0.02)
    mixed = optax.adafactor(1.0)
    u = np.asarray(mixed.update(g, mixed.init(p), p)[0]["w"])
    np.testing.assert_allclose(np.sqrt((u**2).mean((1, 2))), [5.2] * 4, rtol=0.05)


@pytest.mark.parametrize("shape", [(256, 512), (200, 130), (64, 64), (512,)])
def test_equals_optax_on_single_matrices(shape):
    """optax's rule is T5's on one unstacked parameter: same decay, epsilon, clip and scale.

    They differ in weight decay (optax adds it without the learning rate), which is 0 here.
    """
    axes = {"w": ("embed", "mlp")[: len(shape)]}
    keys = jax.random.split(jax.random.key(0), 11)
    ours, theirs = adafactor(Adafactor(), rate, axes), optax.adafactor(rate)
    p = q = {"w": jax.random.normal(keys[0], shape)}
    s, z = ours.init(p), theirs.init(q)
    for key in keys[1:]:
        g = {"w": jax.random.normal(key, shape) * 7}
        u, s = ours.update(g, s, p)
        p = optax.apply_updates(p, u)
        u, z = theirs.update(g, z, q)
        q = optax.apply_updates(q, u)
    np.testing.assert_allclose(p["w"], q["w"], rtol=1e-5, atol=1e-6)


def test_what_is_factored_and_how_its_state_is_named():
    params = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s, jnp.float32), SHAPES, is_leaf=is_shape)
    tx = adafactor(Adafactor(momentum=0.9), rate, AXES)
    state = jax.eval_shape(tx.init, params)
    axes = state_axes(tx, params, AXES)
    second, names = state.second, axes.second
    wi, wi_axes = second["layers"]["wi"], names["layers"]["wi"]
    assert isinstance(wi, Factored)
    assert (wi.row.shape, wi_axes.row) == ((LAYERS, 160), ("layers", "embed"))
    assert (wi.column.shape, wi_axes.column) == ((LAYERS, 300), ("layers", "mlp"))
    assert names["square"] == Factored(("embed",), ("mlp",))  # equal sizes: by position
    assert names["embedding"] == Factored(("vocab",), ("embed",))
    assert isinstance(second["layers"]["norm"], Whole)
    assert names["layers"]["norm"].square == ("layers", "norm")
    assert names["layers"]["relative_bias"].square == ("layers", "heads", "buckets")
    assert second["layers"]["relative_bias"].square.shape == (LAYERS, 4, 32)
    assert names["scale"].square == ("norm",)
    assert axes.momentum == AXES and axes.count == ()
    bare = jax.eval_shape(adafactor(Adafactor(factored=False), rate, AXES).init, params)
    assert all(
        isinstance(x, Whole)
        for x in jax.tree.leaves(bare.second, is_leaf=lambda x: isinstance(x, Whole | Factored))
    )
    assert bare.momentum == ()
    # Factored, the state is small: rows and columns instead of matrices.
    assert sum(x.size for x in jax.tree.leaves(state.second["layers"]["wi"])) == LAYERS * 460


def test_first_update_is_the_learning_rate_times_the_parameter_scale():
    """beta2 is 0 at the first update, so an unfactored update is sign(g): RMS 1, then lr x scale."""
    p = {"scale": jnp.full((8,), 2.0)}
    g = {"scale": jnp.array([3.0, -1, 1e-3, -50, 2, 2, 2, 2])}
    tx = adafactor(Adafactor(), lambda t: jnp.float32(0.01), {"scale": ("norm",)})
    u = tx.update(g, tx.init(p), p)[0]["scale"]
    np.testing.assert_allclose(u, -0.02 * np.sign(g["scale"]), rtol=1e-6)
