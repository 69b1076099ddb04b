"""LoRA against the merged product: values, gradients by hand, dropout, stacking."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.errors import UserError
from t2t.models.architecture import Architecture
from t2t.models.lora import Adapter, merge_lora
from t2t.models.lora_config import LoRA, is_adapter
from t2t.models.parameters import Declare
from t2t.models.partition import partition
from t2t.models.transformer import build
from t2t.training.leaf_names import named_leaves

ARCH = Architecture(
    vocab_size=128, d_model=16, heads=2, head_dim=4, d_ff=24, encoder_layers=2, decoder_layers=3
)
CONFIG = LoRA(
    kernels=r"decoder/.*_attention/(query|out)/kernel|encoder/.*/wi_1/kernel", rank=3, alpha=6.0
)
KERNELS = {  # with their layers, inputs, outputs
    "decoder/layers/self_attention/query": (3, 16, 8),
    "decoder/layers/self_attention/out": (3, 8, 16),
    "decoder/layers/cross_attention/query": (3, 16, 8),
    "decoder/layers/cross_attention/out": (3, 8, 16),
    "encoder/layers/feed_forward/wi_1": (2, 16, 24),
}


def batch_of(seed: int) -> dict:
    tokens = jax.random.randint(jax.random.key(seed), (2, 5), 3, 128)
    return {"encoder": {"tokens": tokens}, "decoder": {"tokens": tokens[:, ::-1]}}


@pytest.fixture(scope="module")
def adapted():
    """(model, its parameters with B drawn too)."""
    model = build(ARCH, lora=CONFIG)
    params = jax.jit(model.init)(jax.random.key(0))
    adapters, base = partition(params, is_adapter)
    leaves, tree = jax.tree.flatten(adapters)
    drawn = [0.3 * jax.random.normal(jax.random.key(i), x.shape) for i, x in enumerate(leaves)]
    return model, tree.unflatten(drawn), base


def at(tree: dict, name: str):
    for part in name.split("/"):
        tree = tree[part]
    return tree


def test_names_shapes_axes_and_start():
    model = build(ARCH, lora=CONFIG)
    adapters, base = partition(jax.jit(model.init)(jax.random.key(5)), is_adapter)
    found = {name: x.shape for name, x in named_leaves(adapters).items()}
    wanted = {}
    for name, (layers, inputs, outputs) in KERNELS.items():
        wanted |= {f"{name}/lora/a": (layers, inputs, 3), f"{name}/lora/b": (layers, 3, outputs)}
    assert found == wanted
    assert at(model.axes, "decoder/layers/self_attention/out/lora") == {
        "a": ("layers", "heads*kv", "rank"),
        "b": ("layers", "rank", "embed"),
    }
    plain = jax.jit(build(ARCH).init)(jax.random.key(5))
    jax.tree.map(np.testing.assert_array_equal, base, plain)
    for name, (_, inputs, _) in KERNELS.items():
        pair = at(adapters, f"{name}/lora")
        assert not np.any(pair["b"])
        assert 0.7 < np.abs(pair["a"]).max() * inputs**0.5 <= 1
        assert not np.array_equal(pair["a"][0], pair["a"][1]), "every layer draws its own"


@pytest.mark.parametrize("layers", ["scan", "unroll"])
def test_the_adapted_model_is_the_merged_one(adapted, layers):
    _, adapters, base = adapted
    arch = dataclasses.replace(ARCH, layers=layers)
    model, plain = build(arch, lora=CONFIG), build(arch)
    merged = merge_lora(base, adapters, CONFIG.scale)
    assert jax.tree.structure(merged) == jax.tree.structure(plain.shapes)
    for name in KERNELS:
        pair = at(adapters, f"{name}/lora")
        product = np.einsum("lir,lro->lio", *(np.float64(pair[n]) for n in "ab"))
        wanted = np.asarray(at(base, name)["kernel"]) + 2.0 * product  # alpha / rank = 2
        np.testing.assert_allclose(at(merged, name)["kernel"], wanted, rtol=1e-5, atol=1e-6)
    both = jax.jit(
        lambda: (
            model.forward(merge_trees(base, adapters), batch_of(1))[0],
            plain.forward(merged, batch_of(1))[0],
            plain.forward(base, batch_of(1))[0],
        )
    )
    found, wanted, before = both()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert np.abs(found - before).max() > 0.1, "the adapters do something"


def merge_trees(base, adapters):
    from t2t.models.partition import join

    return join(base, adapters)


def test_gradients_are_those_of_the_product_by_hand(adapted):
    """W = W0 + s A B, so dA = s G B^T and dB = s A^T G with G the gradient of the whole kernel."""
    model, adapters, base = adapted
    plain, batch = build(ARCH), batch_of(2)
    direction = jax.random.normal(jax.random.key(9), (2, 5, 16))

    def loss(network, params):
        return jnp.sum(network.forward(params, batch)[0] * direction)

    ours = jax.jit(jax.grad(lambda a: loss(model, merge_trees(base, a))))(adapters)
    merged = merge_lora(base, adapters, CONFIG.scale)
    whole = jax.jit(jax.grad(lambda p: loss(plain, p)))(merged)
    for name in KERNELS:
        g = np.float64(at(whole, name)["kernel"])
        a, b = (np.float64(at(adapters, f"{name}/lora")[n]) for n in "ab")
        for found, wanted in (
            (at(ours, f"{name}/lora")["a"], 2.0 * g @ b.swapaxes(1, 2)),
            (at(ours, f"{name}/lora")["b"], 2.0 * a.swapaxes(1, 2) @ g),
        ):
            np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4 * np.abs(wanted).max())


def test_dropout_is_of_the_adapters_input_alone_and_keeps_its_mean():
    cfg = LoRA(rank=2, alpha=2.0, dropout=0.25)
    adapter = Adapter(cfg, Declare(jax.random.key(0)), (4, 3), ("embed", "mlp"), "float32", 7)
    adapter.a[...] = jnp.arange(8.0).reshape(4, 2)
    adapter.b[...] = jnp.ones((2, 3))
    x = jnp.eye(4)  # row i gives (a[i].sum()) or nothing, or 4/3 of it
    rows = np.array([1.0, 5.0, 9.0, 13.0])
    np.testing.assert_allclose(adapter(x, None), np.tile(rows[:, None], 3))
    drawn = np.asarray(
        jax.vmap(lambda key: adapter(x, key))(jax.random.split(jax.random.key(1), 4000))
    )
    share = drawn / rows[:, None]
    kept = np.isclose(share, 4 / 3, atol=1e-5)
    assert np.all(kept | (share == 0))
    np.testing.assert_allclose(kept.mean(axis=(0, 2)), 0.75, atol=0.03)
    assert build(ARCH, lora=cfg).drops and not build(ARCH, lora=CONFIG).drops


def test_a_pattern_that_matches_nothing_lists_what_there_is():
    with pytest.raises(UserError, match="'query' matches .*decoder/layers/cross_attention/key/ke"):
        build(ARCH, lora=LoRA(kernels="query"))
