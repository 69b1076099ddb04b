"""A trained model read back from a run directory."""

import jax

from t2t.interop.opening import is_published, open_published
from t2t.interop.published import parameters
from t2t.models.transformer import build
from t2t.parallel.sharding import constrainer, shardings
from t2t.training.checkpoint_reading import saved_steps, to_stderr
from t2t.training.inputs import open_tokenizer
from t2t.training.run_parameters import checkpoints_of, read_parameters


def restored(run, workdir: str, step: int | None = None, mesh: jax.sharding.Mesh | None = None):
    """Returns (model, params, tokenizer) of a run's checkpoint, the newest by default.

    workdir: a run's directory, or weights of another system (then `run` is of t2t.trained). LoRA's
    adapters are merged: the model is the plain one of `run.model`.
    mesh: parameters are laid out on it, and the model pins its activations to it; None: one device.
    Raises: UserError when there is no such checkpoint.
    """
    if mesh is None:
        model = build(run.model)
        single = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        layout = jax.tree.map(lambda _: single, model.shapes)
    else:
        model = build(run.model, constrain=constrainer(mesh))
        layout = shardings(model.axes, model.shapes, mesh, model.units)
    shapes = jax.tree.map(
        lambda s, sharding: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding),
        model.shapes,
        layout,
    )
    if is_published(workdir):
        params = parameters(open_published(workdir, step=step).leaves, shapes)
    else:
        _, params = read_parameters(workdir, step_of(workdir, step), shapes, to_stderr)
    return model, params, open_tokenizer(run, lambda text: None, workdir)


def step_of(workdir: str, step: int | None) -> int | None:
    """The step that is read: the newest where none is asked for; of published weights what is asked.

    Raises: UserError when there is no such checkpoint.
    """
    if is_published(workdir):
        return step
    wanted = [] if step is None else [step]
    saved = saved_steps(checkpoints_of(workdir), wanted, f"--step={step}: ")
    return saved[-1] if step is None else step
