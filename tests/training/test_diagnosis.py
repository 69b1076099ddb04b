"""Debug mode names where the first non-finite value is: the activation, or the parameter's layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t import run as runs
from t2t.errors import Failure
from t2t.training import programs
from t2t.training.diagnosis import debug_step, first_non_finite
from t2t.training.inputs import open_inputs
from tests.recipe_text import write_recipe


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnosis")
    recipe = write_recipe(folder, ["What is written here is long enough for a row. " * 40] * 10)
    run = runs.load(
        str(recipe), [("model.encoder_layers", "3"), ("data.batch_size", "2"), ("mesh.data", "1")]
    )
    built = programs.build(run, jax.devices()[:1])
    batch = jax.tree.map(jnp.asarray, open_inputs(run, print, 1).train.batch_at(0))
    batch["sample"] = batch["sample"].astype(jnp.int32)
    return run, built, built.init(jax.random.key(0)), batch


def changed(state: dict, path: str, layer: int, value: float) -> dict:
    """A copy of the state with one layer of one stacked parameter filled with `value`."""
    copy = jax.tree.map(lambda x: x, state)
    node = copy["params"]
    *parents, leaf = path.split("/")
    for name in parents:
        node = node[name]
    node[leaf] = node[leaf].at[layer].set(value)
    return copy


@pytest.mark.slow  # every operation of the backward pass is compiled by itself
def test_sound_values_are_not_accused_and_a_bad_update_is(tiny):
    run, built, state, batch = tiny
    assert first_non_finite(run, state, batch) is None
    wild = built._replace(train=lambda s, b: (s, {"skipped": jnp.float32(1)}))
    with pytest.raises(Failure, match="step 1: .* the optimizer's update of them is not"):
        debug_step(run, wild)(state, batch)


@pytest.mark.parametrize("layer", [0, 2])
def test_a_bad_parameter_is_named_with_its_layer(tiny, layer):
    run, _, state, batch = tiny
    bad = changed(state, "encoder/layers/feed_forward/wo/kernel", layer, np.nan)
    place = first_non_finite(run, bad, batch)
    assert place == f"parameter encoder/layers/feed_forward/wo/kernel, layer {layer}"


@pytest.mark.parametrize(
    "stack, layer, name",
    [
        pytest.param("encoder", 1, "encoder/layers, layer 1", marks=pytest.mark.slow),
        ("decoder", 0, "decoder/layers, layer 0"),
    ],
)
def test_an_overflowing_activation_is_named_with_its_layer(tiny, stack, layer, name):
    run, built, state, batch = tiny
    # Finite parameters whose product is not: gate x value x wo overflows float32 in that layer only.
    for kernel in ("wi_0", "wi_1", "wo"):
        state = changed(state, f"{stack}/layers/feed_forward/{kernel}/kernel", layer, 1e20)
    assert first_non_finite(run, state, batch) == f"output of {name}"
    with pytest.raises(Failure, match=f"step 1: the first value .* in the output of {name}"):
        debug_step(run, built)(state, batch)
