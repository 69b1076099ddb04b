"""PyTorch's pickled weights (`pytorch_model.bin`), read without running what a pickle asks for.

A pickle names functions to call. Ours resolves no name at all to the real thing: six names that a
file of weights consists of get harmless stand-ins of this module, any other ends the reading. So no
code of the file runs, torch (no part of the core install) is not needed, and tensors are read one
by one, which torch.load(weights_only=True) would not do.
"""

import collections
import pickle
import zipfile
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from t2t.errors import UserError
from t2t.interop.stored_tensor import Index, StoredTensor

_STORAGES = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
}


@dataclass(frozen=True)
class _Storage:
    """A flat run of numbers: which member of the archive, of what type, how many."""

    member: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage, offset, shape, strides, *_rest) -> _Tensor:
    """Stands for torch._utils._rebuild_tensor_v2."""
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


def _parameter(tensor, *_rest) -> _Tensor:
    """Stands for torch._utils._rebuild_parameter."""
    return tensor


_ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
}


class _Weights(pickle.Unpickler):
    """An unpickler that knows the names in _ALLOWED and no other."""

    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no weights need")
        return _ALLOWED[module, name]

    def persistent_load(self, token):
        _, dtype, key, _, count = token
        return _Storage(str(key), dtype, int(count))


def open_file(path: str) -> dict[str, StoredTensor]:
    """Returns every tensor of a `.bin` file by name; only its table is read.

    Raises: UserError where it is no such file, is damaged, or asks for any code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            table = next(n for n in archive.namelist() if n.split("/")[1:] == ["data.pkl"])
            folder = table.removesuffix("data.pkl") + "data/"
            with archive.open(table) as file:
                content = _Weights(file).load()
            members = {info.filename: info.file_size for info in archive.infolist()}
        return {
            name: _stored(path, folder, name, tensor, members)
            for name, tensor in dict(content).items()
        }
    except (zipfile.BadZipFile, StopIteration):
        raise UserError(
            f"{path}: is no weights file of PyTorch 1.6 or later, or is cut short; "
            "save it again as safetensors"
        ) from None
    except UserError:
        raise
    except Exception as error:  # a made-up pickle can fail in any way; none of it is ours
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: is refused: {reason}") from None


def _stored(path: str, folder: str, name: str, tensor, members: dict[str, int]) -> StoredTensor:
    if not (isinstance(tensor, _Tensor) and isinstance(tensor.storage, _Storage)):
        raise UserError(f"{path}: {name} is not a tensor")
    storage, size = tensor.storage, tensor.storage.dtype.itemsize
    member = folder + storage.member
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    end = (tensor.offset + reach + 1) * size
    negative = min(tensor.offset, *tensor.shape, *tensor.strides, 0) < 0
    if negative or end > members.get(member, 0):
        raise UserError(f"{path}: {name} reaches past its data; the file is damaged")

    def read(index: Index) -> np.ndarray:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            file.seek(tensor.offset * size)
            flat = np.frombuffer(file.read((reach + 1) * size), storage.dtype)
        steps = tuple(s * size for s in tensor.strides)
        return np.lib.stride_tricks.as_strided(flat, tensor.shape, steps, writeable=False)[index]

    return StoredTensor(tensor.shape, storage.dtype, read)
