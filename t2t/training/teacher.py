"""A teacher's parameters: read from where it stands at every start, and the layers that a student takes."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from t2t.errors import UserError
from t2t.training.checkpoint_reading import checksum
from t2t.training.fingerprints import fingerprints
from t2t.training.initial import initial_parameters
from t2t.training.initial_config import FromRun
from t2t.training.teacher_config import Teacher

LAYERS = ("encoder", "layers")


def read_teacher(
    teacher: Teacher, wanted: dict, said: dict | None, say: Callable[[str], None]
) -> tuple[dict, dict]:
    """Returns (parameters, what every checkpoint of the run records of them).

    wanted: as ShapeDtypeStructs with shardings. said: what an earlier start recorded; None: there was
    none. Raises: UserError where the parameters are no longer those.
    """
    source = teacher.source
    if said is not None and isinstance(source, FromRun):
        source = FromRun(source.path, said["step"])
    params, origin = initial_parameters(source, wanted, lambda line: say(f"the teacher {line}"))
    origin["fingerprint"] = checksum(fingerprints(params))
    if said is not None and said["fingerprint"] != origin["fingerprint"]:
        raise UserError(
            f"config.teacher.source.path: {source.path} no longer holds the parameters that the run "
            "began with; put them back, or give another --workdir"
        )
    return params, origin


def student_of(params: dict, layers: tuple[int, ...], wanted: dict) -> dict:
    """Returns the wanted parameters out of a teacher's: of those stacked over layers these layers."""
    chosen = np.array(layers)

    def take(params, path, leaf):
        found = params
        for key in path:
            found = found[key.key]
        stacked = tuple(key.key for key in path[:2]) == LAYERS
        taken = found[chosen] if stacked else jnp.copy(found)  # not the teacher's own buffer
        return taken.astype(leaf.dtype)

    return jax.jit(
        lambda params: jax.tree_util.tree_map_with_path(functools.partial(take, params), wanted),
        out_shardings=jax.tree.map(lambda leaf: leaf.sharding, wanted),
    )(params)
