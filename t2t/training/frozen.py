"""Frozen parameters: written once into the run directory, not with every checkpoint.

They never change, so a checkpoint of LoRA holds the adapters alone (megabytes beside gigabytes) and
says by a fingerprint which base they belong to; that base stands in `DIR/frozen/0`, so that the run
needs nothing from outside its directory.
"""

from collections.abc import Callable

from t2t.errors import Failure
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.checkpoint_reading import (
    Unsound,
    checksum,
    read_manifest,
    read_newest,
    steps_in,
)
from t2t.training.checkpoints import open_checkpoints
from t2t.training.fingerprints import fingerprints


def keep_frozen(workdir: str, frozen: dict) -> int:
    """Writes the frozen parameters, and waits for it; returns their common fingerprint.

    Raises: Failure where they cannot be written.
    """
    folder, found = _folder(workdir), checksum(fingerprints({"frozen": frozen}))
    if steps_in(folder) and _fingerprint(folder) == found:
        return found  # a start before this one got so far
    store = open_checkpoints(folder, Checkpoints(keep_latest=1))
    store.save(0, {"frozen": frozen}, {})
    store.close()
    return found


def read_frozen(
    workdir: str,
    wanted: dict,
    fingerprint: int,
    say: Callable[[str], None],
    whole: bool = True,
) -> dict:
    """Returns the frozen parameters of a run, like `wanted` (ShapeDtypeStructs with shardings).

    fingerprint: the one that the run's checkpoint says. whole: there must be no others. Raises: Failure where they are damaged or
    not those; UserError where names or shapes differ.
    """
    folder = _folder(workdir)
    _, state, _, _ = read_newest(
        folder, {"frozen": wanted}, 0, within="frozen/" if whole else None, say=say
    )
    if _fingerprint(folder) != fingerprint:
        raise Failure(
            f"{folder}: holds other parameters than those beside which {workdir} was trained"
        )
    return state["frozen"]


def leaves_of_frozen(workdir: str) -> dict:
    """Returns what the manifest says of the frozen leaves, by name without `frozen/`; {}: none."""
    folder = _folder(workdir)
    if not steps_in(folder):
        return {}
    leaves = read_manifest(folder, 0)["leaves"]
    return {name.removeprefix("frozen/"): leaf for name, leaf in leaves.items()}


def _folder(workdir: str) -> str:
    return f"{workdir.rstrip('/')}/frozen"


def _fingerprint(folder: str) -> int | None:
    """Returns the common fingerprint that the manifest says; None where it cannot be read."""
    try:
        leaves = read_manifest(folder, 0)["leaves"]
    except Unsound:
        return None
    return checksum({name: leaf["fingerprint"] for name, leaf in leaves.items()})
