"""What must hold of the network whatever its weights are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.losses import cross_entropy
from t2t.models.attention import KeyValues, Visibility, plain_attention
from t2t.models.dropout import dropout
from t2t.models.families import t5, t5_1_1, umt5
from t2t.models.transformer import build

TINY = {
    "vocab_size": 128,
    "d_model": 24,
    "heads": 3,
    "head_dim": 8,
    "d_ff": 40,
    "encoder_layers": 2,
    "decoder_layers": 2,
}


def tiny(family=t5_1_1, **changes):
    return family.architecture("small", **{**TINY, **changes})


def moved(params, seed=0, amount=0.1):
    """All weights off their initialisation, so that no term is hidden by a one or a zero."""
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    noise = [leaf + amount * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    return structure.unflatten(noise)


def start(arch):
    """The model with a compiled forward pass, and moved weights."""
    model = build(arch)
    params = moved(jax.jit(model.init)(jax.random.key(0)))
    return model._replace(forward=jax.jit(model.forward)), params


def random_batch(seed=0, rows=2, inputs=20, targets=9):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, 128, (rows, targets)).astype(np.int32)
    return {
        "encoder": {"tokens": rng.integers(2, 128, (rows, inputs)).astype(np.int32)},
        "decoder": {"tokens": np.pad(labels, ((0, 0), (1, 0)))[:, :-1]},
        "targets": labels,
        "weights": np.ones((rows, targets), np.float32),
    }


def loss_and_gradients(model, params, batch, key=None):
    def loss(params):
        hidden, _, _ = model.forward(params, batch, key)
        logits = model.logits(params, hidden)
        sums = cross_entropy(logits, batch["targets"], batch["weights"], 1e-4, 0.0)
        return sums["objective"] / sums["weight"]

    return jax.jit(jax.value_and_grad(loss))(params)


def assert_same(one, two, tolerance=2e-5):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        scale = max(float(jnp.max(jnp.abs(a))), 1e-6)
        assert float(jnp.max(jnp.abs(a - b))) <= tolerance * scale


@pytest.mark.parametrize(("family", "rate"), [(t5_1_1, 0.2), (umt5, 0.0)])
def test_scan_unroll_and_remat_agree(family, rate):
    key = jax.random.key(7) if rate else None
    batch = random_batch()
    _, params = start(tiny(family))
    want = loss_and_gradients(
        build(tiny(family, layers="unroll", dropout=rate)), params, batch, key
    )
    for layers, remat in (("scan", "none"), ("scan", "full"), ("unroll", "dots")):
        model = build(tiny(family, layers=layers, remat=remat, dropout=rate))
        assert_same(want, loss_and_gradients(model, params, batch, key))


def test_remat_of_dots_computes_no_product_with_a_kernel_again():
    batch = random_batch()
    _, params = start(tiny(t5_1_1))

    def products(remat: str) -> int:
        model = build(tiny(t5_1_1, layers="scan", remat=remat))
        made = jax.make_jaxpr(lambda params: loss_and_gradients(model, params, batch, None))
        return str(made(params)).count("dot_general[")

    none, dots, full = (products(remat) for remat in ("none", "dots", "full"))
    # Again under dots: the scores and what they give, two in each of three attentions. Under full all
    # products of a layer too, but the last: 4 and 3 in an encoder's, 4 more across in a decoder's.
    assert (dots - none, full - none) == (6, 6 + 6 + 10)


@pytest.mark.parametrize("family", [t5, umt5])
def test_packed_rows_equal_separate_rows(family):
    model, params = start(tiny(family))
    lengths = [(7, 4), (11, 3), (5, 6)]  # (inputs, targets) of three examples in one row
    rng = np.random.default_rng(3)
    alone, packed = [], {"encoder": {}, "decoder": {}}
    for inputs, targets in lengths:
        tokens = rng.integers(2, 128, inputs), np.r_[0, rng.integers(2, 128, targets - 1)]
        batch = {s: {"tokens": t[None]} for s, t in zip(packed, tokens, strict=True)}
        alone.append((batch, np.asarray(model.forward(params, batch)[0][0])))
    for i, (stack, pad) in enumerate({"encoder": 6, "decoder": 2}.items()):
        tokens = np.concatenate([batch[stack]["tokens"][0] for batch, _ in alone])
        segments = np.repeat([1, 2, 3], [pair[i] for pair in lengths])
        packed[stack]["tokens"] = np.pad(tokens, (0, pad))[None]
        packed[stack]["segments"] = np.pad(segments, (0, pad))[None]
    together = np.asarray(model.forward(params, packed)[0][0])
    assert np.isfinite(together).all()
    separate = np.concatenate([hidden for _, hidden in alone])
    np.testing.assert_allclose(together[: len(separate)], separate, rtol=2e-4, atol=2e-5)


def test_padding_changes_nothing():
    model, params = start(tiny())
    batch = random_batch()
    want = model.forward(params, batch)[0]
    for stack, fill in (("encoder", 5), ("decoder", 9)):
        part = batch[stack]
        rows, length = part["tokens"].shape
        part["tokens"] = np.pad(part["tokens"], ((0, 0), (0, 4)), constant_values=fill)
        part["segments"] = np.pad(np.ones((rows, length), np.int32), ((0, 0), (0, 4)))
    got = model.forward(params, batch)[0][:, : want.shape[1]]
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_decoder_sees_no_later_token():
    model, params = start(tiny())
    batch = random_batch()
    before = model.forward(params, batch)[0]
    batch["decoder"]["tokens"] = batch["decoder"]["tokens"].copy()
    batch["decoder"]["tokens"][:, 5] += 1
    after = model.forward(params, batch)[0]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert np.abs(np.asarray(before - after))[:, 5:].max(axis=(0, 2)).min() > 1e-4


def test_axes_match_shapes_and_names_are_the_plain_path():
    model = build(tiny(umt5))
    assert jax.tree.structure(model.init(jax.random.key(0))) == jax.tree.structure(model.shapes)
    is_axes = lambda leaf: isinstance(leaf, tuple)
    sizes = {
        "vocab": {128},
        "embed": {24},
        "norm": {24},
        "heads*kv": {24},
        "mlp": {40},
        "heads": {3},
        "buckets": {32},
        "layers": {2},
    }
    names = {}
    for path, axes in jax.tree_util.tree_leaves_with_path(model.axes, is_leaf=is_axes):
        names["/".join(key.key for key in path)] = axes
    shapes = {
        "/".join(key.key for key in path): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(model.shapes)
    }
    assert names.keys() == shapes.keys()
    for name, shape in shapes.items():
        assert len(shape) == len(names[name]), name
        assert all(n in sizes[axis] for n, axis in zip(shape, names[name], strict=True)), name
    assert names["encoder/layers/self_attention/query/kernel"] == ("layers", "embed", "heads*kv")
    assert names["decoder/layers/cross_attention/out/kernel"] == ("layers", "heads*kv", "embed")
    assert names["encoder/layers/relative_bias/table"] == ("layers", "heads", "buckets")
    assert names["decoder/layers/feed_forward/wi_1/kernel"] == ("layers", "embed", "mlp")
    assert names["token_embedding/table"] == ("vocab", "embed")
    assert names["lm_head/kernel"] == ("embed", "vocab")
    tied = build(tiny(t5)).shapes
    assert "lm_head" not in tied
    assert tied["encoder"]["relative_bias"]["table"].shape == (3, 32)


def test_activations_are_constrained_by_name():
    seen = []

    def constrain(x, names):
        seen.append(names)
        assert x.ndim == len(names)
        return x

    model = build(tiny(layers="unroll"), constrain=constrain)
    jax.eval_shape(lambda p: model.logits(p, model.forward(p, random_batch())[0]), model.shapes)
    assert seen.count(("batch", "length", "embed")) == 2 + 2 + 2
    assert seen.count(("batch", "length", "vocab")) == 1


def test_initial_spread_is_that_of_t5x():
    arch = t5.architecture("small", encoder_layers=2, decoder_layers=2, tied_embedding=False)
    params = jax.jit(build(arch).init)(jax.random.key(0))
    layers = params["decoder"]["layers"]
    want = {
        "query": (512 * 64) ** -0.5,
        "key": 512**-0.5,
        "value": 512**-0.5,
        "out": 512**-0.5,
    }
    for attention in ("self_attention", "cross_attention"):
        for name, spread in want.items():
            kernel = layers[attention][name]["kernel"]
            assert np.std(kernel[0]) == pytest.approx(spread, rel=0.02)
            assert not np.array_equal(kernel[0], kernel[1])
    wi, wo = (layers["feed_forward"][name]["kernel"] for name in ("wi", "wo"))
    assert np.std(wi) == pytest.approx(512**-0.5, rel=0.01)
    assert np.std(wo) == pytest.approx(2048**-0.5, rel=0.01)
    # Truncated at two standard deviations of the normal that was cut.
    assert np.abs(wi).max() <= 2 * 512**-0.5 / 0.87962566 + 1e-6
    assert np.std(params["lm_head"]["kernel"]) == pytest.approx(512**-0.5, rel=0.01)
    assert np.std(params["token_embedding"]["table"]) == pytest.approx(1, rel=0.01)
    table = np.abs(params["encoder"]["relative_bias"]["table"])
    limit = (3 / ((8 + 32) / 2)) ** 0.5  # uniform, fan_avg of (heads, buckets)
    assert 0.95 * limit < table.max() <= limit
    assert (np.asarray(layers["pre_attention_norm"]["scale"]) == 1).all()


def test_kernels_but_not_tables_begin_smaller_by_the_root_of_kernel_scale():
    arch = t5.architecture("small", encoder_layers=1, decoder_layers=1, tied_embedding=False)
    whole, tenth = (
        jax.jit(build(dataclasses.replace(arch, kernel_scale=scale)).init)(jax.random.key(0))
        for scale in (1.0, 0.1)
    )
    for (path, ours), theirs in zip(
        jax.tree_util.tree_leaves_with_path(tenth), jax.tree.leaves(whole), strict=True
    ):
        factor = 0.1**0.5 if path[-1].key == "kernel" else 1
        np.testing.assert_allclose(ours, theirs * factor, rtol=1e-6)


def test_dropout_rate_scale_and_sharing():
    x = jnp.ones((4, 50, 60))
    y = np.asarray(dropout(x, 0.25, jax.random.key(0), shared_axes=(-2,)))
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert (y == y[:, :1]).all(), "one draw along the length"
    assert (y[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.1)
    each = np.asarray(dropout(x, 0.25, jax.random.key(0)))
    assert (each == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert not (each == each[:, :1]).all()


def test_attention_dropout_is_one_draw_for_all_queries():
    # Values are one-hot over keys, so the output is the dropped probability matrix itself.
    keys = KeyValues(jnp.zeros((2, 16, 3, 16)), jnp.tile(jnp.eye(16)[None, :, None], (2, 1, 3, 1)))
    query = jnp.zeros((2, 5, 3, 16))
    weights = plain_attention(query, keys, None, Visibility(), 0.5, jax.random.key(1))
    weights = np.asarray(weights) * 16
    assert set(np.unique(weights)) == {0.0, 2.0}
    assert (weights == weights[:, :1]).all()
    assert not (weights[:, 0, 0] == weights[:, 0, 1]).all(), "heads draw apart"


def test_dropout_only_with_a_key_and_differs_by_layer():
    batch = random_batch()
    quiet, params = start(tiny())
    noisy, _ = start(tiny(dropout=0.3))
    want = quiet.forward(params, batch)[0]
    np.testing.assert_array_equal(want, noisy.forward(params, batch)[0])
    one = noisy.forward(params, batch, jax.random.key(1))[0]
    np.testing.assert_array_equal(one, noisy.forward(params, batch, jax.random.key(1))[0])
    assert np.abs(one - noisy.forward(params, batch, jax.random.key(2))[0]).max() > 1e-2

    def draws(model, key):
        return random_draws(jax.make_jaxpr(lambda p: model.forward(p, batch, key)[0])(params).jaxpr)

    assert draws(noisy, None) == draws(quiet, jax.random.key(1)) == 0
    # 1 embedding + 2 a sub-layer, output and inside + 1 after the final norm, a stack.
    assert draws(noisy, jax.random.key(1)) == (2 + 2 * 4) + (2 + 2 * 6)


def random_draws(jaxpr) -> int:
    """How often a traced program draws random bits, programs that it calls included."""
    total = 0
    for equation in jaxpr.eqns:
        total += equation.primitive.name == "random_bits"
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            total += random_draws(inner) if hasattr(inner, "eqns") else 0
    return total


def test_no_mask_is_built_where_everything_is_visible():
    assert Visibility().mask(4, 4) is None
    segments = np.array([[1, 1, 2, 0]])
    mask = Visibility(segments, segments, causal=True).mask(4, 4)
    want = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    np.testing.assert_array_equal(np.asarray(mask)[0, 0], want)


def test_bfloat16_compute_keeps_float32_parameters_and_logits():
    model, params = start(tiny(dtype="bfloat16"))
    batch = random_batch()
    hidden, _, _ = model.forward(params, batch)
    assert hidden.dtype == jnp.bfloat16
    logits = model.logits(params, hidden)
    assert logits.dtype == jnp.float32
    exact = build(dataclasses.replace(model.arch, dtype="float32"))
    want = exact.logits(params, exact.forward(params, batch)[0])
    assert float(jnp.max(jnp.abs(logits - want)) / jnp.max(jnp.abs(want))) < 0.05
    _, gradients = loss_and_gradients(model, params, batch)
    _, wanted = loss_and_gradients(exact, params, batch)
    for got, expected in zip(jax.tree.leaves(gradients), jax.tree.leaves(wanted), strict=True):
        assert got.dtype == jnp.float32
        cosine = jnp.vdot(got, expected) / (jnp.linalg.norm(got) * jnp.linalg.norm(expected))
        assert float(cosine) > 0.98
