"""safetensors files, sharded by an index or not: read by slices, written tensor by tensor."""

import json
import os
from collections.abc import Callable, Iterable

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from t2t.errors import UserError
from t2t.interop.stored_tensor import Index, StoredTensor, blocks

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Their names for the types that we know. A weight is one of the first four.
_TYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_BLOCK_BYTES = 1 << 26


def indexed_files(directory: str, index: str) -> list[str]:
    """Returns the paths of the files that an index names. Raises: UserError where one is missing."""
    path = os.path.join(directory, index)
    try:
        with open(path, encoding="utf-8") as file:
            names = sorted(set(json.load(file)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is no index of weight files, or a damaged one") from None
    for name in names:
        if not isinstance(name, str) or name != os.path.basename(name):  # never out of its folder
            raise UserError(f"{path}: names {name!r}, which is not a file beside it")
        if not os.path.isfile(os.path.join(directory, name)):
            raise UserError(f"{path}: names {name}, which is not there; fetch it again")
    return [os.path.join(directory, name) for name in names]


def open_files(paths: Iterable[str]) -> dict[str, StoredTensor]:
    """Returns every tensor of the files by name; nothing is read but the headers.

    Raises: UserError where a file is damaged or cut short, holds a type that is none of ours, or a
    tensor that another holds.
    """
    result: dict[str, StoredTensor] = {}
    for path in paths:
        try:
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118  (it is no mapping)
                    part = file.get_slice(name)
                    if name in result:
                        raise UserError(f"{path}: {name} stands in another file too")
                    result[name] = _tensor(path, name, part.get_shape(), part.get_dtype())
        except SafetensorError as error:
            reason = str(error).removeprefix("Error while deserializing header: ")
            raise UserError(
                f"{path}: is not a whole safetensors file ({reason}); fetch it again"
            ) from None
    return result


def _open(path: str):
    # Not mapped into memory: the pages of a mapping would all count as memory in use in the end.
    return safe_open(path, "numpy", backend="pread")


def _tensor(path: str, name: str, shape: list[int], kind: str) -> StoredTensor:
    if kind not in _TYPES:
        raise UserError(f"{path}: {name} is of type {kind}; only {', '.join(_TYPES)} can be read")

    def read(index: Index) -> np.ndarray:
        with _open(path) as file:
            return file.get_slice(name)[index] if shape else file.get_tensor(name)

    return StoredTensor(tuple(shape), _TYPES[kind], read)


def write(
    directory: str,
    tensors: dict[str, StoredTensor],
    shard_bytes: int,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Writes model.safetensors, or shards of at most `shard_bytes` (one tensor at least) and index.

    One block of one tensor is in memory at a time (the library's own `save_file` wants a whole
    shard there), so the file is written here: the header's length, the header, the data in order.
    """
    shards: list[list[str]] = []
    filled = 0
    for name, tensor in tensors.items():
        if not shards or filled + tensor.nbytes > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += tensor.nbytes
    where = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        file = SINGLE if len(shards) == 1 else file
        _write_file(os.path.join(directory, file), {name: tensors[name] for name in names})
        say(f"{file}: {len(names)} tensors")
        where |= dict.fromkeys(names, file)
    if len(shards) > 1:
        total = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": where}
        with open(os.path.join(directory, INDEX), "w", encoding="utf-8") as file:
            json.dump(index, file, indent=2, sort_keys=True)


def _write_file(path: str, tensors: dict[str, StoredTensor]) -> None:
    # Wide types first, so that every tensor begins at a multiple of its item's size.
    order = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            for index in blocks(tensors[name], _BLOCK_BYTES):
                block = np.ascontiguousarray(tensors[name].read(index))
                file.write(block.reshape(-1).view(np.uint8))
        file.flush()
        os.fsync(file.fileno())
