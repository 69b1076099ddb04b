"""AdamW, AdamWScale, LAMB and optax by name against plain NumPy; decay by kind; axes of every state."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t2t.errors import UserError
from t2t.training.optimizer_config import OPTAX_NAMES, Adafactor, AdamW, AdamWScale, Lamb, Optax
from t2t.training.optimizers import (
    build,
    clip_by_global_norm,
    global_norm,
    learning_rate_of,
    state_axes,
)
from t2t.training.parameter_kinds import parameter_kind

AXES = {
    "encoder": {
        "layers": {
            "wi": {"kernel": ("layers", "embed", "mlp")},
            "norm": {"scale": ("layers", "norm")},
        },
        "relative_bias": {"table": ("heads", "buckets")},
    },
    "decoder": {"layers": {"wi": {"kernel": ("layers", "embed", "mlp")}}},
    "token_embedding": {"table": ("vocab", "embed")},
    "kernel": ("embed", "vocab"),
}
SHAPES = {
    "encoder": {
        "layers": {"wi": {"kernel": (2, 6, 5)}, "norm": {"scale": (2, 6)}},
        "relative_bias": {"table": (3, 4)},
    },
    "decoder": {"layers": {"wi": {"kernel": (3, 6, 5)}}},
    "token_embedding": {"table": (7, 6)},
    "kernel": (6, 7),
}


def random_tree(seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda s: jnp.asarray(rng.normal(size=s), jnp.float32),
        SHAPES,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def rate(step):
    return 0.02 / (1 + jnp.asarray(step, jnp.float32))


def run(cfg, steps=4, axes=AXES, params=None):
    tx = build(cfg, rate, axes)
    params = random_tree(0) if params is None else params
    state = tx.init(params)
    update = jax.jit(tx.update)
    for t in range(steps):
        updates, state = update(random_tree(10 + t), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def plain_adam(p, gradients, decay, scale=None, eps=1e-8, correct=True):
    """AdamW (Loshchilov & Hutter, algorithm 2) on one array in float64."""
    p = np.asarray(p, np.float64)
    m = v = np.zeros_like(p)
    for t, g in enumerate(gradients):
        g = np.asarray(g, np.float64)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        c1, c2 = (1 - 0.9 ** (t + 1), 1 - 0.999 ** (t + 1)) if correct else (1, 1)
        update = m / c1 / (np.sqrt(v / c2) + eps)
        if scale:
            update = update * max(1e-3, np.sqrt(np.mean(p * p)))
        p = p - 0.02 / (1 + t) * (update + decay * p)
    return p


@pytest.mark.parametrize("correct", [True, False])
def test_adamw_is_the_published_rule_and_decays_by_kind(correct):
    found, state = run(AdamW(weight_decay=0.5, bias_correction=correct))
    gradients = [random_tree(10 + t) for t in range(4)]
    kinds = {"kernel": 0.5, "embedding": 0.5, "norm": 0.0, "bias": 0.0}
    for path, p in jax.tree_util.tree_leaves_with_path(random_tree(0)):
        name = "/".join(k.key for k in path)
        pick = lambda tree, path=path: np.asarray(
            jax.tree_util.tree_leaves(
                [b for a, b in jax.tree_util.tree_leaves_with_path(tree) if a == path]
            )[0]
        )
        decay = kinds[
            "norm" if name.endswith("scale") else "bias" if "relative_bias" in name else "kernel"
        ]
        np.testing.assert_allclose(
            pick(found),
            plain_adam(p, [pick(g) for g in gradients], decay, correct=correct),
            rtol=1e-5,
            atol=1e-6,
            err_msg=name,
        )
    assert int(state.count) == 4
    np.testing.assert_allclose(learning_rate_of(state, rate), 0.02 / 5)


def test_adamw_scale_is_per_layer():
    scales = np.array([1e-5, 4.0], np.float32)[:, None, None]
    params = {"w": np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32) * scales}
    gradients = [
        np.random.default_rng(1 + t).normal(size=(2, 6, 5)).astype(np.float32) for t in range(4)
    ]
    tx = build(AdamWScale(), rate, {"w": ("layers", "embed", "mlp")})
    p, state = params, tx.init(params)
    for g in gradients:
        u, state = tx.update({"w": g}, state, p)
        p = optax.apply_updates(p, u)
    for i in range(2):
        np.testing.assert_allclose(
            p["w"][i],
            plain_adam(params["w"][i], [g[i] for g in gradients], 0.0, True, 1e-6),
            rtol=1e-5,
            atol=1e-7,
        )


def plain_lamb(p, gradients, adapts):
    """ALBERT's LAMB on one layer's array in float64: no bias correction; norms and biases neither
    decay nor take a ratio."""
    p = np.asarray(p, np.float64)
    m = v = np.zeros_like(p)
    for t, g in enumerate(gradients):
        g = np.asarray(g, np.float64)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        update = m / (np.sqrt(v) + 1e-6)
        ratio = 1.0
        if adapts:
            update = update + 0.5 * p
            if np.linalg.norm(p) > 0 and np.linalg.norm(update) > 0:
                ratio = np.linalg.norm(p) / np.linalg.norm(update)
        p = p - 0.02 / (1 + t) * ratio * update
    return p


def test_lamb_is_alberts():
    params = random_tree(0)
    # Layers of unlike norms, one of them 0: a ratio of its own each.
    params["encoder"]["layers"]["wi"]["kernel"] *= jnp.array([0.0, 10.0])[:, None, None]
    found, _ = run(Lamb(weight_decay=0.5), params=params)
    gradients = [random_tree(10 + t) for t in range(4)]
    for path, names in {
        ("encoder", "layers", "wi", "kernel"): "kernel",
        ("encoder", "layers", "norm", "scale"): "norm",
        ("encoder", "relative_bias", "table"): "bias",
        ("decoder", "layers", "wi", "kernel"): "kernel",
        ("token_embedding", "table"): "embedding",
        ("kernel",): "kernel",
    }.items():
        before, after, *slopes = (
            functools.reduce(lambda node, key: node[key], path, tree)
            for tree in (params, found, *gradients)
        )
        adapts = names in ("kernel", "embedding")
        if "layers" not in path:
            before, after, slopes = before[None], after[None], [g[None] for g in slopes]
        for layer in range(len(before)):
            wanted = plain_lamb(before[layer], [g[layer] for g in slopes], adapts)
            np.testing.assert_allclose(after[layer], wanted, rtol=2e-5, atol=1e-6, err_msg=path)


def test_decay_kinds_choose_what_decays():
    """With zero gradients only decay moves a parameter: after one step by rate x decay."""
    params = random_tree(0)
    zeros = jax.tree.map(jnp.zeros_like, params)
    for cfg in (
        AdamW(weight_decay=0.5, decay_kinds=("norm", "bias")),
        Adafactor(weight_decay=0.5, decay_kinds=("norm", "bias")),
        Optax("sgd", weight_decay=0.5, decay_kinds=("norm", "bias")),
        Optax("lion", weight_decay=0.5, decay_kinds=("norm", "bias")),
        Optax("lamb", weight_decay=0.5, decay_kinds=("kernel",)),
    ):
        tx = build(cfg, rate, AXES)
        u, _ = tx.update(zeros, tx.init(params), params)
        moved = {
            jax.tree_util.keystr(p, simple=True, separator="/")
            for p, x in jax.tree_util.tree_leaves_with_path(u)
            if np.any(x)
        }
        if cfg == Optax("lamb", weight_decay=0.5, decay_kinds=("kernel",)):
            assert moved == {"kernel", "encoder/layers/wi/kernel", "decoder/layers/wi/kernel"}
            continue
        assert moved == {"encoder/layers/norm/scale", "encoder/relative_bias/table"}
        np.testing.assert_allclose(
            u["encoder"]["layers"]["norm"]["scale"],
            -0.01 * params["encoder"]["layers"]["norm"]["scale"],
            rtol=1e-6,
        )


def test_kinds():
    assert parameter_kind("lm_head/kernel", ("embed", "vocab")) == "kernel"
    assert parameter_kind("token_embedding/table", ("vocab", "embed")) == "embedding"
    assert parameter_kind("encoder/relative_bias/table", ("heads", "buckets")) == "bias"
    assert parameter_kind("a/layers/out/bias", ("layers", "embed")) == "bias"
    assert parameter_kind("encoder/final_norm/scale", ("norm",)) == "norm"


def test_sgd_with_momentum_by_name():
    found, _ = run(Optax("sgd", (("momentum", 0.9),)))
    wanted, trace = np.asarray(random_tree(0)["kernel"], np.float64), 0.0
    for t in range(4):
        trace = np.asarray(random_tree(10 + t)["kernel"], np.float64) + 0.9 * trace
        wanted = wanted - 0.02 / (1 + t) * trace
    np.testing.assert_allclose(found["kernel"], wanted, rtol=1e-5)


def test_lamb_takes_its_norms_layer_by_layer():
    params = random_tree(0)
    params["encoder"]["layers"]["wi"]["kernel"] *= jnp.array([0.01, 10.0])[:, None, None]
    found, _ = run(Optax("lamb", (("b1", 0.8),), weight_decay=0.1), params=params)
    single = optax.lamb(rate, b1=0.8, weight_decay=0.1)
    for i in range(2):
        p = params["encoder"]["layers"]["wi"]["kernel"][i]
        state = single.init(p)
        for t in range(4):
            g = random_tree(10 + t)["encoder"]["layers"]["wi"]["kernel"][i]
            u, state = single.update(g, state, p)
            p = p + u
        np.testing.assert_allclose(found["encoder"]["layers"]["wi"]["kernel"][i], p, rtol=1e-5)


@pytest.mark.parametrize(
    "cfg",
    [
        Adafactor(min_dim_size_to_factor=4, momentum=0.5),
        AdamW(),
        AdamWScale(),
        Lamb(),
        *[Optax(name, weight_decay=0.1) for name in OPTAX_NAMES],
    ],
    ids=lambda c: getattr(c, "name", type(c).__name__),
)
def test_every_optimizer_runs_and_its_state_has_axes(cfg):
    params = random_tree(0)
    found, state = run(cfg, 2)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(found))
    assert any(
        np.any(a != b) for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True)
    )
    axes = state_axes(build(cfg, rate, AXES), jax.eval_shape(lambda: params), AXES)
    is_names = lambda x: type(x) is tuple and all(n is None or isinstance(n, str) for n in x)
    pairs = jax.tree.map(lambda names, x: (names, x.shape), axes, state, is_leaf=is_names)
    pairs = [
        p
        for p in jax.tree.leaves(
            pairs, is_leaf=lambda x: type(x) is tuple and len(x) == 2 and is_names(x[0])
        )
    ]
    sizes = {
        "layers": (2, 3),
        "embed": 6,
        "mlp": 5,
        "vocab": 7,
        "norm": 6,
        "heads": 3,
        "buckets": 4,
    }
    for names, shape in pairs:
        assert len(names) == len(shape)
        for name, size in zip(names, shape, strict=True):
            assert name is None or size == sizes[name] or size in np.atleast_1d(sizes[name])
    # Every array as large as a matrix belongs to a parameter and so can be sharded like it.
    assert all(None not in names for names, shape in pairs if len(shape) > 1)


def test_a_name_that_ends_another_is_not_taken_for_it():
    axes = state_axes(build(AdamW(), rate, AXES), jax.eval_shape(lambda: random_tree(0)), AXES)
    assert axes.first == AXES and axes.second == AXES and axes.count == ()


def test_resumed_updates_are_bit_identical():
    """The state alone says which update comes next: rate and bias correction follow from it."""
    for cfg in (Adafactor(), AdamWScale(), Optax("adan")):
        tx = build(cfg, rate, AXES)
        params, state = run(cfg, 2)
        g = random_tree(99)
        a = jax.jit(tx.update)(g, state, params)
        saved = jax.tree.map(np.asarray, (state, params))
        b = jax.jit(build(cfg, rate, AXES).update)(g, *saved)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_array_equal(x, y)


def test_clip_by_global_norm():
    g = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    norm = global_norm(g)
    assert float(norm) == 5.0
    clipped = clip_by_global_norm(g, norm, 1.0)
    np.testing.assert_allclose(clipped["a"], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], [[0.8]], rtol=1e-6)
    same = clip_by_global_norm(g, norm, 5.0)
    np.testing.assert_array_equal(same["b"], g["b"])
    zero = jax.tree.map(jnp.zeros_like, g)
    assert not np.any(np.isnan(clip_by_global_norm(zero, global_norm(zero), 1.0)["a"]))


@pytest.mark.parametrize(
    "cfg, message",
    [
        (Optax("lionn"), r"optimizer\.name: no optimizer 'lionn' \(did you mean 'lion'\?\)"),
        (Optax("lion", (("b3", 0.9),)), r"optimizer\.arguments: optax\.lion takes no 'b3'"),
        (Optax("sgd", (("learning_rate", 0.9),)), r"optimizer\.arguments: .*set the schedule"),
        (Optax("lion", (("weight_decay", 0.9),)), r"optimizer\.arguments: .*set weight_decay"),
        (Optax("sgd", (("momentum", 0.9), ("momentum", 0.8))), r"optimizer\.arguments: .*twice"),
        (Adafactor(momentum=1.0), r"optimizer\.momentum: "),
        (Adafactor(clipping_threshold=0.0), r"optimizer\.clipping_threshold: "),
        (AdamW(b1=-0.1), r"optimizer\.b1: "),
        (Lamb(epsilon=0.0), r"optimizer\.epsilon: "),
        (AdamWScale(epsilon=0.0), r"optimizer\.epsilon: "),
        (AdamW(weight_decay=-1.0), r"optimizer\.weight_decay: "),
        (AdamW(clip_global_norm=0.0), r"optimizer\.clip_global_norm: "),
        (AdamW(decay_kinds=("norm", "norm")), r"optimizer\.decay_kinds: "),
    ],
)
def test_check_names_the_field(cfg, message):
    with pytest.raises(UserError, match="^" + message):
        cfg.check("optimizer")
