"""PyTorch's pickled weights (`pytorch_model.bin`), read without running what a pickle asks for.

A pickle names functions to call. Ours resolves no name at all to the real thing: the few names that
a file of weights consists of get harmless stand-ins of this module, any other ends the reading. So
no code of the file runs, torch (no part of the core install) is not needed, and tensors are read
one by one, which torch.load(weights_only=True) would not do.
"""

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from t2t.errors import UserError
from t2t.interop.stored_tensor import Index, StoredTensor

_STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _Sealed:
    """What a pickle may hold but not change: BUILD, which sets attributes, ends the reading."""

    __slots__ = ()

    def __setstate__(self, state):
        raise pickle.UnpicklingError("it changes objects that no weights change")


class _StandIn(_Sealed):
    """Stands for a function or class of torch's; a call gives a description."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable):
        self._call = call

    def __call__(self, *arguments):
        return self._call(*arguments)


class _StorageType(_Sealed):
    __slots__ = ("dtype",)

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)


class _State(dict):
    """Stands for the OrderedDict of a state dict; the `_metadata` it carries is of no use."""

    def __setstate__(self, state):
        pass


@dataclass(frozen=True)
class _Storage(_Sealed):
    """A flat run of numbers: which member of the archive, of what type."""

    member: str
    dtype: np.dtype


@dataclass(frozen=True)
class _Tensor(_Sealed):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage, offset, shape, strides, *_rest) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


_ALLOWED = {
    ("collections", "OrderedDict"): _StandIn(_State),
    ("torch._utils", "_rebuild_tensor_v2"): _StandIn(_tensor),
    ("torch._utils", "_rebuild_parameter"): _StandIn(lambda tensor, *_rest: tensor),
    **{("torch", name): _StorageType(dtype) for name, dtype in _STORAGES.items()},
}


class _Weights(pickle.Unpickler):
    """An unpickler that knows the names in _ALLOWED and no other."""

    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no weights need")
        return _ALLOWED[module, name]

    def persistent_load(self, token):
        _, kind, key, *_ = token
        return _Storage(str(key), kind.dtype)


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
            "fetch it again, or save it as safetensors"
        ) from None
    except UserError:
        raise
    except Exception as error:  # a made-up pickle can fail in any way; none of it is ours
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path}: is refused: {reason}; if you trust it, save it as safetensors with PyTorch"
        ) from None


def _stored(path: str, folder: str, name: str, tensor, members: dict[str, int]) -> StoredTensor:
    known = isinstance(tensor, _Tensor) and isinstance(tensor.storage, _Storage)
    if not known or len(tensor.shape) != len(tensor.strides):
        raise UserError(f"{path}: {name} is not a tensor")
    storage, size = tensor.storage, tensor.storage.dtype.itemsize
    member = folder + storage.member
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    end = (tensor.offset + reach + 1) * size
    if min(tensor.offset, *tensor.shape, *tensor.strides, 0) < 0 or end > members.get(member, 0):
        raise UserError(f"{path}: {name} reaches past its data; the file is damaged")

    def read(index: Index) -> np.ndarray:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            file.seek(tensor.offset * size)
            flat = np.frombuffer(file.read((reach + 1) * size), storage.dtype)
        steps = tuple(s * size for s in tensor.strides)
        return np.lib.stride_tricks.as_strided(flat, tensor.shape, steps, writeable=False)[index]

    return StoredTensor(tensor.shape, storage.dtype, read)
