"""A run's parameters as its model has them: trained and frozen together, LoRA's adapters merged."""

import os
from collections.abc import Callable

import jax

from t2t.errors import UserError
from t2t.models.lora import merge_lora
from t2t.models.lora_config import LoRA, is_adapter
from t2t.models.partition import join, partition
from t2t.training.checkpoint_reading import (
    Unsound,
    nested,
    read_manifest,
    read_newest,
    saved_steps,
)
from t2t.training.frozen import read_frozen
from t2t.training.leaf_names import named_leaves

DISCRIMINATOR = "discriminator"


def checkpoints_of(workdir: str | os.PathLike) -> str:
    """Returns the folder of a run's checkpoints."""
    return f"{os.fspath(workdir).rstrip('/')}/checkpoints"


def manifest_of(workdir: str, step: int | None) -> dict:
    """Returns the manifest of a step, or of the newest one whose manifest can be read.

    Raises: UserError where there is none.
    """
    folder = checkpoints_of(workdir)
    saved = saved_steps(folder, [] if step is None else [step])
    reasons = []
    for candidate in reversed(saved) if step is None else [step]:
        try:
            return read_manifest(folder, candidate)
        except Unsound as error:
            reasons.append(f"{candidate}: {error}")
    raise UserError(f"{folder}: no sound checkpoint: {'; '.join(reasons)}")


def read_parameters(
    workdir: str,
    step: int | None,
    wanted: dict,
    say: Callable[[str], None],
    whole: bool = True,
) -> tuple[int, dict]:
    """Returns (step, parameters) of a run's checkpoint; step None: the newest sound one.

    wanted: the parameters of a model without adapters, ShapeDtypeStructs with shardings; arrays are
    read straight onto those and cast leaf by leaf. Of a run with a generator they are those of its
    discriminator, or of both. whole: the run must have no others.
    Raises: UserError naming every leaf that is missing, of another shape or not wanted; Failure
    where nothing sound is there.
    """
    manifest = manifest_of(workdir, step)
    record, there = manifest["record"], manifest["leaves"]
    if has_generator(there) and DISCRIMINATOR not in wanted:
        step, params = read_parameters(workdir, step, {DISCRIMINATOR: wanted}, say, whole=False)
        return step, params[DISCRIMINATOR]
    kept_apart = record.get("frozen")
    trained, frozen = partition(wanted, lambda n: kept_apart is None or f"params/{n}" in there)
    adapters = _adapters(there, wanted)
    adapted, params = {}, {}
    if trained or adapters:
        step, state, _, _ = read_newest(
            checkpoints_of(workdir),
            {"params": join(trained, adapters)},
            step,
            within="params/" if whole else None,
            say=say,
        )
        adapted, params = partition(state["params"], is_adapter)
    if frozen:
        params = join(params, read_frozen(workdir, frozen, kept_apart, say, whole))
    if adapted:
        scale = LoRA(**record["config"]["training"]["lora"]).scale
        params = jax.jit(merge_lora, static_argnums=2)(params, adapted, scale)
    return step, params


def has_generator(leaves: dict) -> bool:
    """Whether a checkpoint's leaves, by name, are those of two networks (wiring.generator_discriminator)."""
    return any(name.startswith(f"params/{DISCRIMINATOR}/") for name in leaves)


def _adapters(there: dict, wanted: dict) -> dict:
    """Returns the shapes of the adapters of wanted kernels, whole on every device: they are small."""
    kernels = named_leaves(wanted)
    places = next(iter(kernels.values())).sharding
    if isinstance(places, jax.sharding.NamedSharding):
        places = jax.sharding.NamedSharding(places.mesh, jax.sharding.PartitionSpec())
    return nested(
        {
            name.removeprefix("params/"): jax.ShapeDtypeStruct(
                tuple(leaf["shape"]), leaf["dtype"], sharding=places
            )
            for name, leaf in there.items()
            if is_adapter(name) and _kernel_of(name) in kernels
        }
    )


def _kernel_of(adapter: str) -> str:
    """Returns the kernel beside which an adapter of a checkpoint, 'params/.../lora/a', stands."""
    return adapter.removeprefix("params/").rpartition("/lora/")[0] + "/kernel"
