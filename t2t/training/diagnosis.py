"""Debug mode: the step run eagerly, and the first value that is not finite named by its layer."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.errors import Failure
from t2t.models.partition import join
from t2t.models.transformer import build
from t2t.monitoring.model_table import path_name
from t2t.training.step import accumulated
from t2t.wiring.choice import wired


def first_non_finite(run, state: dict, batch: dict) -> str | None:
    """Names the first activation, the loss, or the gradient that is not finite; None if all are.

    Activations are looked at in the order of the forward pass: the model hands every block's output
    to `constrain`, so the n-th call with one belongs to the n-th place in the network.
    """
    arch, lora = run.model, run.training.lora
    places = [
        *["encoder input (token_embedding)"] * bool(arch.encoder_layers),
        *(f"encoder/layers, layer {i}" for i in range(arch.encoder_layers)),
        *["decoder input (token_embedding)"] * bool(arch.decoder_layers),
        *(f"decoder/layers, layer {i}" for i in range(arch.decoder_layers)),
        "logits (token_embedding)" if arch.tied_embedding else "logits (lm_head)",
    ]
    for path, array in jax.tree_util.tree_leaves_with_path(join(state["frozen"], state["params"])):
        if not bool(jnp.all(jnp.isfinite(array))):
            return f"parameter {path_name(path)}{_layer_of(path, array)}"
    seen: list = []

    def look(x, names):
        if names[:2] == ("batch", "length") and names[2] != "mlp":  # what leaves a block
            seen.append(bool(jnp.all(jnp.isfinite(x))))
        return x

    def plain(one, **more):
        return build(dataclasses.replace(one, layers="unroll", remat="none"), lora=lora, **more)

    _, loss_fn, _ = wired(run, lambda one: plain(one, constrain=look))
    loss, _ = loss_fn(state["params"], state["frozen"], state["carry"], batch, None)
    if len(places) != len(seen):  # more is embedded, or another network is there
        places = [f"activation {i} of {len(seen)}" for i in range(1, len(seen) + 1)]
    for place, fine in zip(places, seen, strict=True):
        if not fine:
            return f"output of {place}"
    if not bool(jnp.isfinite(loss)):
        return "loss"
    gradient = accumulated(wired(run, plain)[1], 1)
    sums, _, _ = gradient(state["params"], state["frozen"], state["carry"], batch, None)
    for path, array in reversed(jax.tree_util.tree_leaves_with_path(sums)):
        if not bool(jnp.all(jnp.isfinite(array))):
            return f"gradient of {path_name(path)}{_layer_of(path, array)}"
    return None


def _layer_of(path, array) -> str:
    """Names the layer in a stacked parameter, the last one first as the backward pass goes."""
    if not any(getattr(key, "key", None) == "layers" for key in path):
        return ""
    bad = ~jnp.all(jnp.isfinite(array.reshape(array.shape[0], -1)), axis=1)
    return f", layer {int(jnp.flatnonzero(bad)[-1])}"


def debug_step(run, programs) -> Callable:
    """Returns a train step that runs eagerly, op by op, and stops at the first non-finite value."""

    def step(state, batch):
        with jax.disable_jit():
            place = first_non_finite(run, state, batch)
            if place is not None:
                raise Failure(
                    f"step {int(state['step']) + 1}: the first value that is not finite "
                    f"is in the {place}"
                )
            number = int(state["step"]) + 1
            state, metrics = programs.train(state, batch)
            if bool(metrics["skipped"]):
                raise Failure(
                    f"step {number}: the loss and every gradient are finite, but the optimizer's "
                    "update of them is not; lower the learning rate (config.schedule.peak)"
                )
            return state, metrics

    return step
