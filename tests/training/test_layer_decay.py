"""Layer-wise decay of the rate: the factor of every parameter by hand, under every optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.models.architecture import Architecture
from t2t.models.transformer import build
from t2t.training import optimizers
from t2t.training.layer_decay import depths, layer_decay
from t2t.training.leaf_names import named_leaves
from t2t.training.optimizer_config import Adafactor, AdamW, AdamWScale, Optax

MODEL = build(
    Architecture(
        vocab_size=128, d_model=8, heads=2, head_dim=4, d_ff=8, encoder_layers=2, decoder_layers=3
    )
)
# Five layers: embedding 0, encoder 1 and 2, decoder 3 to 5, head 6; factor 0.5^(6 - depth).
WANTED = {
    "token_embedding/table": 1 / 64,
    "encoder/relative_bias/table": 1 / 32,
    "encoder/layers/self_attention/query/kernel": [1 / 32, 1 / 16],
    "encoder/layers/pre_feed_forward_norm/scale": [1 / 32, 1 / 16],
    "encoder/final_norm/scale": 1 / 16,
    "decoder/relative_bias/table": 1 / 8,
    "decoder/layers/cross_attention/out/kernel": [1 / 8, 1 / 4, 1 / 2],
    "decoder/final_norm/scale": 1 / 2,
    "lm_head/kernel": 1.0,
}


@pytest.mark.parametrize(
    "cfg",
    [
        AdamW(weight_decay=0.1),
        AdamWScale(),
        Adafactor(momentum=0.9, min_dim_size_to_factor=4),
        Optax("lamb"),
        Optax("sgd", (("momentum", 0.9),), weight_decay=0.01),
    ],
    ids=lambda cfg: getattr(cfg, "name", type(cfg).__name__),
)
def test_updates_are_the_optimizers_times_the_factor(cfg):
    plain = optimizers.build(cfg, lambda count: 0.1 / (count + 1.0), MODEL.axes)
    decayed = layer_decay(plain, 0.5, depths(MODEL, MODEL.axes))
    params = jax.jit(MODEL.init)(jax.random.key(0))
    gradients = jax.tree.map(lambda x: jnp.cos(7 * x), params)

    @jax.jit
    def two():
        found = []
        for optimizer in (plain, decayed):
            state = optimizer.init(params)
            for _ in range(2):  # the second from a state: it must be the optimizer's own
                updates, state = optimizer.update(gradients, state, params)
            found.append((updates, state))
        return found

    (whole, one), (parts, other) = two()
    jax.tree.map(np.testing.assert_array_equal, one, other)
    whole, parts = named_leaves(whole), named_leaves(parts)
    for name, factor in WANTED.items():
        factor = np.reshape(factor, (-1,) + (1,) * (whole[name].ndim - 1))
        assert np.any(whole[name])
        np.testing.assert_allclose(parts[name], whole[name] * factor, rtol=1e-6, err_msg=name)


def test_without_a_head_the_last_layer_has_the_whole_rate():
    axes = {"decoder": MODEL.axes["decoder"]}
    plain = optimizers.build(Optax("sgd"), lambda count: 1.0, axes)
    decayed = layer_decay(plain, 0.5, depths(MODEL, axes))
    params = {"decoder": jax.jit(MODEL.init)(jax.random.key(0))["decoder"]}
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, _ = decayed.update(gradients, decayed.init(params), params)
    scale = updates["decoder"]["layers"]["pre_attention_norm"]["scale"]
    np.testing.assert_allclose(scale[:, 0], [-0.25, -0.5, -1.0])
