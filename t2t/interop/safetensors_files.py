"""safetensors files, sharded by an index or not: read by slices, written a shard at a time."""

import json
import os
from collections.abc import Callable, Iterable

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from t2t.errors import UserError
from t2t.interop.stored_tensor import Index, StoredTensor

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
# Their names for the types that a parameter may have.
_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def indexed_files(directory: str, index: str) -> list[str]:
    """Returns the paths of the files that an index names. Raises: UserError where one is missing."""
    path = os.path.join(directory, index)
    try:
        with open(path, encoding="utf-8") as file:
            names = sorted(set(json.load(file)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is no index of weight files, or a damaged one") from None
    for name in names:
        if name != os.path.basename(name):  # an index must not lead out of its directory
            raise UserError(f"{path}: names {name!r}, which is not a file beside it")
        if not os.path.isfile(os.path.join(directory, name)):
            raise UserError(f"{path}: names {name}, which is not there; fetch it again")
    return [os.path.join(directory, name) for name in names]


def open_files(paths: Iterable[str]) -> dict[str, StoredTensor]:
    """Returns every tensor of the files by name; nothing is read but the headers.

    Raises: UserError where a file is damaged or cut short, or holds a type no weight has.
    """
    result = {}
    for path in paths:
        try:
            with safe_open(path, "numpy") as file:
                for name in file.keys():  # noqa: SIM118  (it is no mapping)
                    part = file.get_slice(name)
                    result[name] = _tensor(path, name, part.get_shape(), part.get_dtype())
        except SafetensorError as error:
            raise UserError(
                f"{path}: is not a whole safetensors file ({error}); fetch it again"
            ) from None
    return result


def _tensor(path: str, name: str, shape: list[int], kind: str) -> StoredTensor:
    if kind not in _TYPES:
        raise UserError(f"{path}: {name} is of type {kind}; only {', '.join(_TYPES)} can be read")

    def read(index: Index) -> np.ndarray:
        # Opened anew: the pages of an open mapping would all count as memory in use in the end.
        with safe_open(path, "numpy") as file:
            return file.get_slice(name)[index]

    return StoredTensor(tuple(shape), np.dtype(_TYPES[kind]), read)


def write(
    directory: str,
    sizes: dict[str, int],
    tensors: Iterable[tuple[str, np.ndarray]],
    shard_bytes: int,
    say: Callable[[str], None],
) -> None:
    """Writes model.safetensors, or shards of at most `shard_bytes` (one tensor at least) and index.

    sizes: bytes of every tensor, in the order in which `tensors` yields them; known beforehand
    since a shard's name holds the number of shards.
    """
    shards: list[list[str]] = []
    filled = 0
    for name, size in sizes.items():
        if not shards or filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    waiting = iter(tensors)
    where = {}
    for number, names in enumerate(shards, 1):
        content = {}
        for name in names:
            found, array = next(waiting)
            assert found == name
            content[name] = np.ascontiguousarray(array)
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        file = SINGLE if len(shards) == 1 else file
        save_file(content, os.path.join(directory, file), metadata={"format": "pt"})
        say(f"{file}: {len(names)} tensors")
        where |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": where}
        with open(os.path.join(directory, INDEX), "w", encoding="utf-8") as file:
            json.dump(index, file, indent=2, sort_keys=True)
