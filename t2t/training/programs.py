"""The programs of a run: model, optimizer, shardings and the jitted steps, from configuration alone.

Nothing here reads data or allocates a parameter, so a plan for hardware that is not there compiles
exactly what the loop runs.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from t2t.models.partition import TEACHER, join, own, partition
from t2t.models.transformer import Model
from t2t.models.transformer import build as build_model
from t2t.parallel import compiler_flags, sharding
from t2t.parallel import mesh as meshes
from t2t.parallel.sharded_attention import sharded_attention
from t2t.training import optimizers, schedules
from t2t.training import step as steps
from t2t.training.layer_decay import depths, layer_decay
from t2t.training.leaf_names import named_leaves
from t2t.training.trainable import trained
from t2t.wiring.choice import first_carry, wired


class Programs(NamedTuple):
    """What the loop runs, and the layout of what it runs on."""

    model: Model
    mesh: jax.sharding.Mesh
    shapes: dict  # of the state: ShapeDtypeStructs with shardings
    axes: dict  # of the state: logical axis names
    init: Callable  # (key) -> state, born sharded, but for a teacher's parameters
    begin: Callable  # (key, given) -> such a state of given parameters, donated; others drawn
    train: Callable  # (state, batch) -> (state, metrics); donates the state
    evaluate: Callable  # (params, frozen, carry, batch) -> (sums, carry)
    learning_rate: Callable  # (step) -> learning rate
    flags: dict  # compiler options of `train`, beyond XLA's defaults

    @property
    def parameters(self) -> dict:
        """Shapes of all parameters, trained and frozen, a teacher's too, with shardings."""
        return join(self.shapes["params"], self.shapes["frozen"])

    def abstract_batch(self, batch) -> Any:
        """Returns the shapes of a batch with the shardings that it gets on this mesh."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                x.shape, x.dtype, sharding=sharding.batch_sharding(self.mesh, x)
            ),
            batch,
        )


def build(run, devices: list | None = None) -> Programs:
    """Builds every program of a run for the given devices (default: all there are).

    Raises: UserError when the mesh does not fit the devices or the model.
    """
    mesh = meshes.make_mesh(run.mesh, devices)
    # The platform of these devices, which need not be the one of this machine.
    platform = mesh.devices.flat[0].platform
    constrain = sharding.constrainer(mesh)
    make = functools.cache(
        lambda arch: build_model(
            arch,
            constrain=constrain,
            attention=sharded_attention(constrain),
            spread=sharding.spreader(mesh),
            platform=platform,
            lora=run.training.lora,
        )
    )
    model, loss_fn, plain_loss = wired(run, make, mesh)
    is_trained = trained(run.training, named_leaves(model.shapes))
    axes_trained, axes_frozen = partition(model.axes, is_trained)
    learning_rate = schedules.schedule(run.schedule, run.training.steps)
    optimizer = optimizers.build(run.optimizer, learning_rate, axes_trained)
    if run.training.layer_decay < 1:
        optimizer = layer_decay(optimizer, run.training.layer_decay, depths(model, axes_trained))

    def state_of(params: dict) -> dict:
        params, frozen = partition(params, is_trained)
        return {
            "params": params,
            "frozen": frozen,
            "carry": first_carry(run, model),
            "opt_state": optimizer.init(params),
            "step": jnp.zeros((), jnp.int32),
        }

    def init(key: jax.Array) -> dict:
        return state_of(model.init(key))

    def begin(key: jax.Array, given: dict) -> dict:
        return state_of(join(model.init(key), given))

    shapes = jax.eval_shape(init, jax.random.key(0))
    axes = {
        "params": axes_trained,
        "frozen": axes_frozen,
        "carry": jax.tree.map(lambda x: (None,) * x.ndim, shapes["carry"]),
        "opt_state": optimizers.state_axes(
            optimizer, partition(model.shapes, is_trained)[0], axes_trained
        ),
        "step": (),
    }
    if run.teacher is not None:
        teacher = make(run.teacher.model)
        shapes["frozen"][TEACHER], axes["frozen"][TEACHER] = teacher.shapes, teacher.axes
    layout = sharding.shardings(axes, shapes, mesh, model.units)
    layout["carry"] = jax.tree.map(lambda x: sharding.by_row(mesh, x), shapes["carry"])
    drawn = {**layout, "frozen": own(layout["frozen"])}
    shapes = jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), shapes, layout
    )
    step = steps.train_step(
        loss_fn,
        optimizer,
        learning_rate,
        microbatches=run.training.accumulation,
        maximum_norm=run.optimizer.clip_global_norm,
        dropout_key=dropout_key(run.training.seed) if model.drops else None,
    )
    whole = sharding.replicated(mesh)
    flags = compiler_flags.for_devices(
        list(mesh.devices.flat), run.training.device_flags, run.training.compiler_flags
    )
    return Programs(
        model=model,
        mesh=mesh,
        shapes=shapes,
        axes=axes,
        init=jax.jit(init, out_shardings=drawn, compiler_options=_once(mesh)),
        begin=jax.jit(begin, donate_argnums=1, out_shardings=drawn),
        train=jax.jit(
            step, donate_argnums=0, out_shardings=(layout, whole), compiler_options=flags
        ),
        evaluate=jax.jit(steps.evaluation_step(plain_loss), out_shardings=(whole, layout["carry"])),
        learning_rate=learning_rate,
        flags=flags,
    )


def _once(mesh) -> dict[str, int]:
    """Returns options of a program that runs once: on CPUs half of its seconds would be LLVM's."""
    on_cpus = mesh.devices.flat[0].platform == "cpu"
    return {"xla_backend_optimization_level": 0} if on_cpus else {}


def init_key(seed: int) -> jax.Array:
    """Returns the key of a run's initialisation."""
    return jax.random.fold_in(jax.random.key(seed), 0)


def dropout_key(seed: int) -> jax.Array:
    """Returns the key from which every step's dropout is folded."""
    return jax.random.fold_in(jax.random.key(seed), 1)
