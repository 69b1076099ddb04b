"""A trained model read back from a run directory."""

import jax

from t2t.errors import UserError
from t2t.models.transformer import build
from t2t.training.checkpoint_reading import restore_parameters
from t2t.training.checkpoints import open_checkpoints
from t2t.training.inputs import open_tokenizer


def restored(run, workdir: str, step: int | None = None):
    """Returns (model, params, tokenizer) of a run's checkpoint, the newest by default.

    Raises: UserError when there is no such checkpoint.
    """
    folder = f"{workdir}/checkpoints"
    checkpoints = open_checkpoints(folder, run.checkpoints, read_only=True)
    steps = checkpoints.steps()
    checkpoints.close()
    if not steps:
        raise UserError(f"{folder}: no checkpoint has been saved yet")
    if step is not None and step not in steps:
        raise UserError(f"--step={step}: {folder} holds {', '.join(map(str, steps))}")
    model = build(run.model)
    single = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=single), model.shapes
    )
    params = restore_parameters(folder, steps[-1] if step is None else step, shapes)
    return model, params, open_tokenizer(run, lambda text: None, workdir)
