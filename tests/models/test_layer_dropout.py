"""Stochastic depth: how often each layer is skipped, what it adds where it is not, nothing at eval."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.models.architecture import Architecture
from t2t.models.transformer import build

RATE, LAYERS, ROWS = 0.6, 3, 4000
ARCH = Architecture(
    vocab_size=128,
    d_model=8,
    heads=2,
    head_dim=4,
    d_ff=16,
    encoder_layers=LAYERS,
    decoder_layers=0,
    tied_embedding=True,
    layer_dropout=RATE,
)


def only(params: dict, layer: int) -> dict:
    """The parameters with what every other layer adds to the residual at 0."""
    layers = params["encoder"]["layers"]
    mine = (jnp.arange(LAYERS) == layer)[:, None, None]
    out, wo = layers["self_attention"]["out"], layers["feed_forward"]["wo"]
    layers = {
        **layers,
        "self_attention": {**layers["self_attention"], "out": {"kernel": out["kernel"] * mine}},
        "feed_forward": {**layers["feed_forward"], "wo": {"kernel": wo["kernel"] * mine}},
    }
    return {**params, "encoder": {**params["encoder"], "layers": layers}}


@pytest.mark.parametrize("mode", ["scan", "unroll"])
def test_layer_l_of_L_is_skipped_by_l_over_L_of_the_rows(mode):
    model = build(dataclasses.replace(ARCH, layers=mode))
    params = model.init(jax.random.key(0))
    batch = {"encoder": {"tokens": jnp.full((ROWS, 2), 7)}}
    run = jax.jit(lambda params, key: model.forward(params, batch, dropout_key=key)[0])
    for layer in range(LAYERS):
        hidden = np.asarray(run(only(params, layer), jax.random.key(1)))
        skipped = np.asarray(run(only(params, LAYERS), jax.random.key(1)))[0]
        past = np.isclose(hidden, skipped, atol=1e-6).all(axis=(1, 2))
        rate = RATE * (layer + 1) / LAYERS
        assert abs(past.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / ROWS)


def test_where_it_stays_a_layer_adds_as_much_more_as_it_is_skipped():
    """So that the mean is what is added without a key, where nothing is skipped or scaled."""
    model, plain = build(ARCH), build(dataclasses.replace(ARCH, layer_dropout=0.0))
    params = only(model.init(jax.random.key(0)), 1)
    # One branch, of the feed-forward: else the second sub-layer reads what the first one scaled.
    attention = params["encoder"]["layers"]["self_attention"]
    attention["out"] = jax.tree.map(jnp.zeros_like, attention["out"])
    params["encoder"]["final_norm"]["scale"] = jnp.ones(8)
    batch = {"encoder": {"tokens": jnp.full((ROWS, 1), 7)}}
    x = np.asarray(params["token_embedding"]["table"][7], np.float64)
    forward = jax.jit(model.forward)
    hidden = np.asarray(forward(params, batch, dropout_key=jax.random.key(2))[0], np.float64)
    told = np.asarray(forward(params, batch)[0])
    np.testing.assert_array_equal(told, np.asarray(jax.jit(plain.forward)(params, batch)[0]))
    layer = jax.tree.map(lambda a: np.asarray(a[1], np.float64), params["encoder"]["layers"])
    rms = lambda a: a / np.sqrt((a * a).mean() + 1e-6)
    y, parts = rms(x) * layer["pre_feed_forward_norm"]["scale"], layer["feed_forward"]
    gate = np.asarray(jax.nn.gelu(jnp.asarray(y @ parts["wi_0"]["kernel"]), approximate=True))
    y = (gate * (y @ parts["wi_1"]["kernel"])) @ parts["wo"]["kernel"]
    kept = rms(x + y / (1 - RATE * 2 / 3))
    past = np.isclose(hidden[:, 0], rms(x), atol=1e-5).all(axis=-1)
    assert 0 < past.sum() < ROWS
    np.testing.assert_allclose(hidden[~past, 0], np.tile(kept, ((~past).sum(), 1)), atol=1e-4)
    np.testing.assert_allclose(told[0, 0], rms(x + y), atol=1e-4)
