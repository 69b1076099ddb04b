"""XLNet's memory in the wiring, and through whole runs: rows go on, checkpoints hold it, it helps."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.errors import UserError
from t2t.models.transformer import build
from t2t.training.step import accumulated
from t2t.wiring import permuted
from tests import tiny, tiny_xlnet
from tests.tiny_xlnet import ARCH

RECIPE = pathlib.Path(__file__).parent.parent / "tiny_xlnet.py"
SPLIT = [f"--config.mesh.{axis}=2" for axis in ("data", "fsdp", "tensor")]
ROWS, LENGTH, MEMORY = 4, 12, 9


def batch(seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(5, 1024, (ROWS, LENGTH)).astype(np.int32)
    ranks = np.where(np.arange(LENGTH) % 6 == 2, 1 + np.arange(LENGTH), 0).astype(np.int32)
    places = np.tile(np.array([2, 8], np.int32), (ROWS, 1))
    return {
        "encoder": {"tokens": tokens, "ranks": np.tile(ranks, (ROWS, 1))},
        "places": places,
        "targets": np.take_along_axis(tokens, places, axis=1),
        "weights": np.ones((ROWS, 2), np.float32),
    }


@pytest.fixture(scope="module")
def gradients():
    """(model, parameters, empty carry, jitted gradient function by microbatches)."""
    model = build(ARCH)
    params = model.init(jax.random.key(0))
    params = jax.tree.map(lambda x: x + 0.1, params)
    loss_fn = permuted.loss_function(model, 0.0, 0.0, MEMORY, 5)
    functions = {n: jax.jit(accumulated(loss_fn, n)) for n in (1, 2)}
    return model, params, permuted.empty(model, ROWS, MEMORY), functions


def test_what_is_read_is_remembered_of_the_first_tokens_by_row(gradients):
    model, params, carry, functions = gradients
    assert carry["states"].shape == (ROWS, 2, MEMORY, 16) and not carry["filled"].any()
    sums, metrics, first = functions[1](params, {}, carry, batch(0), None)
    np.testing.assert_array_equal(first["filled"], [[0] * 4 + [1] * 5] * ROWS)
    assert not first["states"][:, :, :4].any()
    # The first layer reads embeddings: those of the row's first five tokens.
    read = params["token_embedding"]["table"][batch(0)["encoder"]["tokens"][:, :5]]
    np.testing.assert_allclose(first["states"][:, 0, 4:], read, rtol=1e-6)
    _, _, second = functions[1](params, {}, first, batch(1), None)
    assert second["filled"].all()
    np.testing.assert_array_equal(second["states"][:, :, :4], first["states"][:, :, -4:])
    # Row b of the next batch remembers row b alone.
    other = jax.tree.map(lambda x: x.at[1].set(0), first)
    losses = [functions[1](params, {}, c, batch(1), None)[2]["states"] for c in (first, other)]
    apart = np.abs(np.asarray(losses[0] - losses[1]))[:, 1, -5:].max(axis=(1, 2)) > 0
    np.testing.assert_array_equal(apart, np.arange(ROWS) == 1)


def test_microbatches_hand_on_the_memory_of_their_rows(gradients):
    _, params, carry, functions = gradients
    _, _, carry = functions[1](params, {}, carry, batch(0), None)
    whole, parts = (functions[n](params, {}, carry, batch(1), None) for n in (1, 2))
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def streams(data, **changes):
    return dataclasses.replace(data, order="streams", **changes)


@pytest.mark.parametrize(
    "change, named",
    [
        (
            lambda r: {"data": dataclasses.replace(r.data, order="shuffled")},
            "needs config.data.order",
        ),
        (
            lambda r: {
                "data": dataclasses.replace(r.data, order="packed"),
                "objective": dataclasses.replace(r.objective, memory=0, both_ways=True),
            },
            "both_ways: half of the streams are read from their end",
        ),
        (lambda r: {"data": streams(r.data, evaluation_batch_size=4)}, "evaluation_batch_size: 4"),
        (lambda r: {"model": tiny.get_config("x").model}, "PermutationLM is for an encoder alone"),
        (
            lambda r: {"training": dataclasses.replace(r.training, repeat_samples=8)},
            "repeat_samples: 8, and a row that comes again would remember itself",
        ),
        (
            lambda r: {"training": dataclasses.replace(r.training, r_drop=1.0)},
            "r_drop: 1.0 is for objectives whose targets are a text",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(change, named, tmp_path):
    run = tiny_xlnet.get_config(str(tmp_path / "text.txt"))
    with pytest.raises(UserError, match=named):
        runs.check(dataclasses.replace(run, **change(run)))


def train(recipe: str, workdir, *overrides: str) -> dict[tuple, float]:
    """Trains; returns the losses by (split, step)."""
    assert main(["train", f"--config={recipe}", f"--workdir={workdir}", *overrides]) == 0
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {(row["split"], row["step"]): row["loss"] for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["", ",pairs"])
def test_a_resumed_run_goes_on_with_its_memory(rows, tmp_path):
    recipe = f"{RECIPE}:{tiny.write_text(tmp_path)}{rows}"
    whole = train(recipe, tmp_path / "whole")
    train(recipe, tmp_path / "parts", "--config.training.steps=4")
    parts = train(recipe, tmp_path / "parts", *SPLIT)
    mesh = "--config.mesh.data=2", "--config.mesh.context=4"
    split = train(recipe, tmp_path / "context", *mesh)
    assert split["train", 10] == pytest.approx(whole["train", 10], rel=1e-4)
    for step in (5, 8, 12):
        assert parts["train", step] == pytest.approx(whole["train", step], rel=1e-5)
    assert parts["eval/held_out", 12] == pytest.approx(whole["eval/held_out", 12], rel=1e-5)
    wrong = ["train", f"--config={recipe}", f"--workdir={tmp_path / 'parts'}"]
    assert main([*wrong, "--config.data.batch_size=4"]) == 2
