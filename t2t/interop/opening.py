"""A checkpoint of another system opened by its path, whatever it is."""

import os

from t2t.data.storage import is_local
from t2t.errors import UserError, nearest
from t2t.interop import huggingface, t5x, t5x_names
from t2t.interop.families import FAMILIES
from t2t.interop.published import Published


def is_published(path: str) -> bool:
    """Whether a local path holds a checkpoint of another system that t2t knows."""
    return is_local(path) and (huggingface.is_directory(path) or t5x.find(path) is not None)


def open_published(
    path: str,
    family: str = "",
    step: int | None = None,
    allow_pickle: bool = False,
) -> Published:
    """Opens a Hugging Face directory or a T5X checkpoint; nothing is read but headers.

    family: where the files do not say it. step: of a T5X run's folder (default: the newest).
    Raises: UserError, one line.
    """
    if is_local(path) and huggingface.is_directory(path):
        check_family(family, list(FAMILIES))
        if step is not None:
            raise UserError(
                f"--step={step}: {path} is a Hugging Face directory, which has no steps"
            )
        return huggingface.open_directory(path, family, allow_pickle)
    file = t5x.find(path, step)
    if file is None:
        steps = t5x.steps_in(path) if is_local(path) else []
        if steps:
            raise UserError(f"--step={step}: {path} holds {', '.join(map(str, steps))}")
        there = "is neither" if os.path.exists(path) else "is not there, or is neither"
        raise UserError(
            f"{path}: {there} a run of t2t, a Hugging Face directory nor a T5X checkpoint"
        )
    check_family(family, list(t5x_names.ACTIVATIONS))
    tensors = t5x.open_tensors(file)
    arch = t5x_names.architecture(tensors, family, file)
    leaves = t5x_names.leaves_of(arch, tensors, file)
    return Published(file, family, arch, leaves)


def check_head(found: Published) -> None:
    """Raises UserError for an encoder with nothing beside it that tells anything."""
    if found.headless:
        raise UserError(
            f"{found.where}: is an encoder without a head, which tells nothing by itself; train one: "
            f"t2t train --config=finetune:TASK:{found.where}"
        )


def check_family(family: str, known: list[str]) -> None:
    """Raises UserError where --family is given and is none of those known there."""
    if family and family not in known:
        raise UserError(f"--family={family}: not one of {', '.join(known)}{nearest(family, known)}")
