"""T5X checkpoints, read: tensorstore directories with a msgpack index, and the msgpack form alone.

`checkpoint_STEP/checkpoint` is msgpack (flax.serialization): `{version, optimizer: {target: the
parameters, state: ...}}`, whose leaves are arrays or, of what was partitioned, TensorStore specs
`{driver: zarr, kvstore: {path: target.encoder.layers_0. ...}, metadata}` with paths relative to
that folder (t5x/checkpoints.py). Nothing else of a T5X run is read; its vocabulary and activation
stand in gin files.
"""

import os
import re
from collections.abc import Iterator

import ml_dtypes
import numpy as np

from t2t.data.storage import is_local, kvstore, storage_errors
from t2t.errors import UserError
from t2t.interop import flax_msgpack
from t2t.interop.stored_tensor import Index, StoredTensor

_SPEC = {"driver", "kvstore", "metadata"}
_TYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


def find(path: str, step: int | None = None) -> str | None:
    """Returns the msgpack file of a checkpoint: given itself, its folder, or the run's folder.

    step: which of a run's; None is the newest. None where there is nothing like it.
    """
    if not is_local(path):  # an object store is not listed: the checkpoint's own folder is given
        inside = path.rstrip("/")
        return inside if inside.endswith("/checkpoint") else f"{inside}/checkpoint"
    if os.path.isfile(path):
        with open(path, "rb") as file:  # msgpack of a map: a fixmap, map16 or map32
            first = file.read(1)
        return path if first and (0x80 <= first[0] <= 0x8F or first[0] in (0xDE, 0xDF)) else None
    if os.path.isfile(os.path.join(path, "checkpoint")):
        return os.path.join(path, "checkpoint")
    steps = steps_in(path)
    if not steps or (step is not None and step not in steps):
        return None
    return os.path.join(path, f"checkpoint_{max(steps) if step is None else step}", "checkpoint")


def steps_in(path: str) -> list[int]:
    """Returns the steps of a run's folder in ascending order."""
    if not os.path.isdir(path):
        return []
    found = (re.fullmatch(r"checkpoint_(\d+)", name) for name in os.listdir(path))
    steps = sorted(int(match[1]) for match in found if match)
    return [s for s in steps if os.path.isfile(os.path.join(path, f"checkpoint_{s}", "checkpoint"))]


def open_tensors(path: str) -> dict[str, StoredTensor]:
    """Returns the parameters of the msgpack file `path` by name; all arrays stay unread.

    Raises: UserError where it is none of T5X's, is damaged, or misses a file.
    """
    content = flax_msgpack.index(path)
    try:
        target, version = content["optimizer"]["target"], int(content["version"])
    except (KeyError, TypeError, ValueError):
        target, version = None, 0
    if not isinstance(target, dict):
        raise UserError(f"{path}: is no T5X checkpoint (msgpack of version and optimizer)")
    if version < 3:
        raise UserError(f"{path}: is of T5X's version {version}; load and save it with T5X once")
    folder = path.rpartition("/")[0] or "."
    return {name: _stored(path, folder, name, leaf) for name, leaf in _flat(target)}


def _flat(tree: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, dict) and not set(value) >= _SPEC:
            yield from _flat(value, (*above, key))
        else:
            yield "/".join((*above, key)), value


def _stored(path: str, folder: str, name: str, leaf) -> StoredTensor:
    if isinstance(leaf, StoredTensor):
        _check_type(path, name, leaf.dtype.name)
        return leaf
    if not isinstance(leaf, dict):
        raise UserError(
            f"{path}: {name} is {leaf!r}, not an array; an Orbax checkpoint is not T5X's own"
        )
    inner = leaf["kvstore"].get("path", leaf.get("path", "")).strip("/")
    if leaf["driver"] != "zarr" or not inner or ".." in inner.split("/"):
        raise UserError(f"{path}: {name} is at {leaf['kvstore']!r}, which T5X does not write")
    array = _open_zarr(f"{folder}/{inner}", f"{path}: {name}")
    shape, kind = tuple(array.shape), array.dtype.name
    _check_type(path, name, kind)
    if shape != tuple(leaf["metadata"]["shape"]):
        raise UserError(f"{path}: {name} is {shape} there, not {leaf['metadata']['shape']}")

    def read(index: Index) -> np.ndarray:
        with storage_errors(f"{folder}/{inner}"):
            return array[index].read().result()

    return StoredTensor(shape, _TYPES[kind], read)


def _check_type(path: str, name: str, kind: str) -> None:
    if kind not in _TYPES:
        raise UserError(f"{path}: {name} is of type {kind}; only {', '.join(_TYPES)} can be read")


def _open_zarr(path: str, what: str):
    import tensorstore as ts

    try:
        return ts.open({"driver": "zarr", "kvstore": kvstore(path)}, open=True, read=True).result()
    except ValueError as error:
        text = str(error)
        if "NOT_FOUND" in text:
            raise UserError(f"{what}: its array {path} is not there; fetch it again") from None
        raise UserError(f"{what}: {path}: {' '.join(text.split())[:200]}") from None
