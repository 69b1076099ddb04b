"""The loss of pointing at a start and an end is that of NumPy; padding and empty rows are nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from t2t.models.families import xlnet
from t2t.models.transformer import build
from t2t.wiring import extractive
from tests.models.tiny_families import FAMILIES

SHAPE = {"vocab_size": 128, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 24}


def batch_of(length: int = 12) -> dict:
    rng = np.random.default_rng(0)
    sizes = np.array([length, 9, 7, 0])
    places = np.arange(length)
    segments = (places < sizes[:, None]).astype(np.int32)
    return {
        "encoder": {
            "tokens": rng.integers(5, 128, (4, length)).astype(np.int32) * segments,
            "segments": segments,
            "positions": places * segments,
            "types": (places >= 4).astype(np.int32) * segments,
        },
        "targets": np.array([[5, 11], [0, 0], [6, 6], [0, 0]], np.int32),
        "weights": np.repeat(sizes[:, None] > 0, 2, axis=1).astype(np.float32),
    }


@pytest.mark.parametrize(
    "name", ["bert", *(pytest.param(n, marks=pytest.mark.slow) for n in ("roberta", "xlnet"))]
)
def test_the_loss_is_that_of_numpy(name):
    with jax.enable_x64(True):
        family = xlnet.architecture("base") if name == "xlnet" else FAMILIES[name]
        own = {"encoder_layers": 1, "token_classes": 2, "dtype": "float64", "dropout": 0.0}
        arch = dataclasses.replace(family, **SHAPE, **own)
        model, batch = build(arch), batch_of()
        noise = lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape)
        params = jax.tree.map(noise, model.init(jax.random.key(0)))
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)

        @jax.jit
        def run(params, batch):
            loss_fn = extractive.loss_function(model, 0.1)
            (loss, (sums, _)), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
                params, {}, {}, batch, None
            )
            side = batch["encoder"]
            if name == "roberta":  # of one segment type
                side = {k: v for k, v in side.items() if k != "types"}
            hidden = model.forward(params, {"encoder": side})[0]
            return loss, sums, gradient, hidden

        loss, sums, gradient, hidden = jax.device_get(run(params, batch))
        head = jax.device_get(params["token_head"])
        logits = hidden @ head["kernel"] + head["bias"]  # [B, L, 2]
        wanted = squares = right = 0.0
        for row, (size, targets) in enumerate(zip((12, 9, 7), batch["targets"], strict=False)):
            for which, target in enumerate(targets):
                one = logits[row, :size, which]
                wanted -= log_softmax(one)[target]
                squares += np.log(np.exp(one).sum()) ** 2
                right += one.argmax() == target
        np.testing.assert_allclose(sums["loss"], wanted, rtol=1e-12)
        np.testing.assert_allclose(loss, wanted + 0.1 * squares, rtol=1e-12)
        assert sums["weight"] == 6 and sums["correct"] == right
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
        # A head of words, where there is one, is not asked.
        others = [np.abs(leaf).max() for leaf in jax.tree.leaves(gradient.get("masked_head", {}))]
        assert not any(others) and np.abs(gradient["token_head"]["kernel"]).min() > 0
