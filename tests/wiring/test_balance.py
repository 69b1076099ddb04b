"""The balance loss of a model with experts: what it is worth, and that a run is pulled by it."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.cli import main
from t2t.models.architecture import Architecture
from t2t.models.experts import Experts
from t2t.models.parameters import Declare
from t2t.models.transformer import build
from t2t.wiring import single
from tests.tiny import write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
EXPERTS = Architecture(
    vocab_size=128,
    d_model=16,
    heads=2,
    head_dim=8,
    d_ff=32,
    encoder_layers=2,
    decoder_layers=2,
    gated=False,
    activation="relu",
    experts=4,
)


@pytest.mark.slow
def test_it_is_added_once_a_token_and_reaches_the_router():
    model = build(EXPERTS)
    params = model.init(jax.random.key(0))
    tokens = jnp.asarray(np.random.default_rng(1).integers(3, 128, (4, 6)))
    batch = {
        "encoder": {"tokens": tokens},
        "decoder": {"tokens": tokens},
        "targets": tokens,
        "weights": jnp.ones((4, 6), jnp.float32),
    }

    def loss(balance):
        return lambda params: single.loss_function(model, 0.0, 0.0, balance=balance)(
            params, {}, {}, batch, None
        )

    (plain, (sums, _)), without = jax.value_and_grad(loss(0.0), has_aux=True)(params)
    (added, (more, _)), with_it = jax.value_and_grad(loss(0.5), has_aux=True)(params)
    assert "balance_loss" not in sums
    assert 1 / 4 <= float(sums["fullest_expert"]) / 24 <= 1 and float(sums["dropped_tokens"]) == 0
    aux = model.forward(params, batch)[2]
    # One sparse layer a stack; evenly used experts would cost 1 each.
    by_hand = sum(float(jnp.sum(x)) for x in single.balance_losses(aux))
    assert len(single.balance_losses(aux)) == 2 and 2 <= by_hand < 8
    assert float(more["balance_loss"]) == pytest.approx(24 * by_hand, rel=1e-5)
    assert float(added - plain) == pytest.approx(0.5 * 24 * by_hand, rel=1e-4)
    moved = jax.tree_util.tree_map_with_path(
        lambda path, a, b: (
            "router" in jax.tree_util.keystr(path) and bool(jnp.any(jnp.abs(a - b) > 1e-6))
        ),
        without,
        with_it,
    )
    assert any(jax.tree.leaves(moved))


def test_the_load_is_what_is_counted_by_hand():
    """Of 6 tokens of a row, two of them padding, an expert serves two."""
    arch = dataclasses.replace(EXPERTS, expert_capacity=2)
    layer = Experts(arch, Declare(jax.random.key(0)), lambda x, _: x)
    x = jax.random.normal(jax.random.key(1), (3, 6, 16))
    segments = np.array([[1] * 6, [1] * 4 + [0] * 2, [1, 1, 2, 2, 2, 0]])
    _, aux = layer(x, jnp.asarray(segments))
    chosen = np.argmax(np.asarray(x) @ np.asarray(layer.router[...]), axis=-1)
    counts, dropped = np.zeros(4), 0
    for row, there in zip(chosen, segments, strict=True):
        served = np.zeros(4)
        for expert, real in zip(row, there, strict=True):
            if real:
                counts[expert] += 1
                dropped += served[expert] >= 2
            served[expert] += 1
    assert dropped > 0
    np.testing.assert_allclose(aux["shares"], counts / 15, rtol=1e-6)
    np.testing.assert_allclose(aux["dropped"], dropped / 15, rtol=1e-6)
    told = single.load({"encoder": {"slot_1": aux}})
    np.testing.assert_allclose(told["fullest_expert"], counts.max() / 15, rtol=1e-6)


def test_jitter_moves_what_the_router_reads_by_so_much_and_nothing_else():
    """An expert's weights at identity: the output is the input times the chance of its expert."""
    shape = {"d_ff": 16, "router_jitter": 0.5, "expert_capacity": 6}
    arch = dataclasses.replace(EXPERTS, **shape)
    layer = Experts(arch, Declare(jax.random.key(0)), lambda x, _: x)
    layer.wi[...], layer.wo[...] = (jnp.tile(jnp.eye(16), (4, 1, 1)) for _ in range(2))
    x = jnp.abs(jax.random.normal(jax.random.key(1), (64, 6, 16)))
    still, moved = layer(x, None)[0], layer(x, None, jax.random.key(2))[0]
    chance = np.asarray(still / x), np.asarray(moved / x)
    for one in chance:  # one number a token
        np.testing.assert_allclose(one, np.broadcast_to(one[..., :1], one.shape), rtol=1e-4)
    assert 0.01 < np.abs(chance[0] - chance[1]).mean() < 0.3
    key = jax.random.split(jax.random.key(2))[0]
    read = np.asarray(x * jax.random.uniform(key, x.shape, minval=0.5, maxval=1.5))
    scores = np.exp(read @ np.asarray(layer.router[...]))
    wanted = (scores / scores.sum(-1, keepdims=True)).max(-1)
    np.testing.assert_allclose(chance[1][..., 0], wanted, rtol=1e-3)


@pytest.mark.slow
def test_a_run_writes_it(tmp_path):
    arguments = [f"--config={RECIPE}:{write_text(tmp_path)}", f"--workdir={tmp_path / 'run'}"]
    model = dataclasses.replace(EXPERTS, vocab_size=384)
    arguments += [f"--config.model={model}", "--config.training.steps=2"]
    assert main(["train", *arguments, "--config.data.evaluation=()"]) == 0
    rows = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    values = [row["balance_loss"] for row in rows if row["split"] == "train"]
    assert len(values) == 2 and all(2 <= value < 8 for value in values)


def test_r_drop_is_refused_where_no_wiring_has_it(tmp_path, capfd):
    arguments = ["--config=bert:tiny", f"--workdir={tmp_path / 'run'}"]
    assert main(["train", *arguments, "--config.training.r_drop=1"]) == 2
    assert "t2t: config.training.r_drop: 1.0 is for objectives" in capfd.readouterr().err
