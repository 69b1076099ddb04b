"""R-Drop against SciPy's divergences, and on a run."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import rel_entr, softmax

from t2t.cli import main
from t2t.models.architecture import Architecture
from t2t.models.transformer import build
from t2t.wiring import r_drop, single
from tests.tiny import write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
SHAPE = {"vocab_size": 128, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 32}


def test_divergences_are_those_of_scipy():
    logits = np.random.default_rng(0).normal(size=(2, 3, 5, 11)) * 3
    p, q = softmax(logits, axis=-1)
    wanted = rel_entr(p, q).sum(-1) + rel_entr(q, p).sum(-1)
    assert np.asarray(r_drop.divergences(*jnp.asarray(logits))) == pytest.approx(wanted, rel=1e-4)


def test_the_loss_is_both_passes_and_how_far_they_are_apart():
    model = build(Architecture(**SHAPE, encoder_layers=1, decoder_layers=1, dropout=0.3))
    params = model.init(jax.random.key(0))
    rng = np.random.default_rng(1)
    tokens = jnp.asarray(rng.integers(3, 128, (4, 6)))
    batch = {
        "encoder": {"tokens": tokens},
        "decoder": {"tokens": tokens},
        "targets": tokens,
        "weights": jnp.asarray(rng.integers(0, 2, (4, 6)), jnp.float32),
    }
    key = jax.random.key(5)
    loss, (sums, carry) = r_drop.loss_function(model, 1e-4, 0.1, 5.0)(params, {}, {}, batch, key)
    plain, passes, logits = single.loss_function(model, 1e-4, 0.1), [], []
    for one in jax.random.split(key):
        passes.append(plain(params, {}, {}, batch, one))
        hidden, _, _ = model.forward(params, batch, dropout_key=one)
        logits.append(np.asarray(model.logits(params, hidden), np.float64))
    p, q = softmax(logits, axis=-1)
    apart = ((rel_entr(p, q) + rel_entr(q, p)).sum(-1) * np.asarray(batch["weights"])).sum()
    assert apart > 0.1
    wanted = (passes[0][0] + passes[1][0]) / 2 + 5.0 / 4 * apart
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    for name, value in sums.items():
        assert float(value) == pytest.approx(
            float(passes[0][1][0][name] + passes[1][1][0][name]) / 2, rel=1e-5
        )
    assert carry == {}


@pytest.mark.slow
def test_a_run_trains_with_it(tmp_path):
    text = write_text(tmp_path)
    arguments = [f"--config={RECIPE}:{text}", f"--workdir={tmp_path / 'run'}"]
    assert (
        main(["train", *arguments, "--config.model.dropout=0.1", "--config.training.r_drop=1"]) == 0
    )
    rows = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["split"] == "eval/held_out"]
    assert losses[-1] < losses[0] - 1


def test_without_dropout_there_is_nothing_to_compare(tmp_path, capfd):
    arguments = [f"--config={RECIPE}:{write_text(tmp_path)}", f"--workdir={tmp_path / 'run'}"]
    assert main(["train", *arguments, "--config.training.r_drop=1"]) == 2
    assert "t2t: config.training.r_drop: " in capfd.readouterr().err
