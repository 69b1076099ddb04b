"""The gradients of a run's first batch on meshes of eight devices, against those of one."""

import functools

import jax
import numpy as np

from t2t.models.partition import TEACHER
from t2t.models.transformer import build
from t2t.parallel import mesh as meshes
from t2t.parallel import sharding
from t2t.parallel.mesh_config import Mesh
from t2t.parallel.sharded_attention import sharded_attention
from t2t.training.inputs import open_inputs
from t2t.training.leaf_names import named_leaves
from t2t.training.step import accumulated
from t2t.wiring.choice import first_carry, wired

MESHES = (Mesh(data=2, fsdp=2, tensor=2), Mesh(data=2, tensor=2, context=2))


def check_gradients(run, unseen: float) -> None:
    """Asserts that every leaf's gradient is one device's to 1e-4 of its norm, and to `unseen` of the
    whole gradient's: a leaf that the loss does not see has rounding for a gradient."""
    batch = jax.tree.map(
        lambda x: x.astype(np.int32) if x.dtype == np.int64 else x,
        open_inputs(run, lambda line: None).train.batch_at(0),
    )
    want = gradients(run, Mesh(), batch)
    whole = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in want.values()))
    for mesh in MESHES:
        for name, got in gradients(run, mesh, batch).items():
            allowed = 1e-4 * np.linalg.norm(want[name]) + unseen * whole
            assert np.linalg.norm(got - want[name]) < allowed, (mesh, name)


def gradients(run, mesh, batch):
    """{name: gradient} of a batch's loss, on `mesh`, at parameters that depend on the run alone."""
    on = meshes.make_mesh(mesh, jax.devices()[: 1 if mesh == Mesh() else 8])
    constrain = sharding.constrainer(on)
    make = functools.cache(
        lambda arch: build(
            arch,
            constrain=constrain,
            attention=sharded_attention(constrain),
            spread=sharding.spreader(on),
        )
    )
    model, loss_fn, _ = wired(run, make, on)
    layout = sharding.shardings(model.axes, model.shapes, on, model.units)
    params = jax.jit(model.init, out_shardings=layout)(jax.random.key(0))
    frozen = {TEACHER: make(run.teacher.model).init(jax.random.key(1))} if run.teacher else {}
    carry = first_carry(run, model)
    place = functools.partial(sharding.batch_sharding, on)
    compute = jax.jit(
        lambda params, batch: accumulated(loss_fn, 1)(params, frozen, carry, batch, None)[0],
        out_shardings=layout,
    )
    placed = jax.tree.map(lambda x: jax.device_put(x, place(x)), batch)
    return jax.tree.map(np.asarray, named_leaves(compute(params, placed)))
