"""flax.serialization's msgpack files, indexed: arrays stay in the file until a part of one is read.

The file is one MessagePack object (github.com/msgpack/msgpack, spec.md). An array is an extension of
type 1, itself MessagePack of (shape, name of the type, bytes); one above a gigabyte is a map of flat
pieces, marked `__msgpack_chunked_array__`. The `msgpack` library hands such bytes over whole; here
they are passed over by their headers, which say how long they are.
"""

import itertools
import math
import os
import struct
from bisect import bisect_right
from typing import BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from t2t.data import files
from t2t.errors import UserError
from t2t.interop.stored_tensor import Index, StoredTensor

_CHUNKED = "__msgpack_chunked_array__"
_ARRAYS = (1, 3)  # types of extensions: arrays, and NumPy's scalars in the same form
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_NUMBERS = dict(zip(range(0xCA, 0xD4), "fdBHIQbhiq", strict=True))
_FIXED = {0xC0: None, 0xC2: False, 0xC3: True}
# First byte -> (what follows, the length's type); an extension's length is followed by its type.
_SIZED = {
    **{0xC4 + i: ("bytes", kind) for i, kind in enumerate("BHI")},
    **{0xC7 + i: ("extension", kind) for i, kind in enumerate("BHI")},
    **{0xD9 + i: ("text", kind) for i, kind in enumerate("BHI")},
    **{0xDC + i: ("list", kind) for i, kind in enumerate("HI")},
    **{0xDE + i: ("map", kind) for i, kind in enumerate("HI")},
}


class _Array(NamedTuple):
    """Where an array lies. runs: (place in the file, bytes) of its pieces in order."""

    shape: tuple[int, ...]
    dtype: np.dtype
    runs: tuple[tuple[int, int], ...]


def index(path: str):
    """Returns the tree of a file, maps as dicts, with its arrays as views; None in place of other bytes.

    Raises: UserError where it is no such file, is damaged or cut short.
    """
    with files.open_bytes(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            tree = _object(file, size)
            if file.tell() != size:
                raise ValueError("something follows the end")
            return _views(path, tree)
        except (ValueError, LookupError, TypeError, AttributeError, EOFError, RecursionError) as e:
            reason = " ".join(str(e).split())[:100] or type(e).__name__
            raise UserError(
                f"{path}: is no msgpack file of Flax, or is damaged or cut short ({reason})"
            ) from None


def _take(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError("it ends too early")
    return data


def _number(file: BinaryIO, kind: str) -> int | float:
    return struct.unpack(f">{kind}", _take(file, struct.calcsize(f">{kind}")))[0]


def _header(file: BinaryIO) -> tuple[str, object]:
    """Returns what comes, and its length or value."""
    first = _take(file, 1)[0]
    if first <= 0x7F or first >= 0xE0:
        return "value", first if first <= 0x7F else first - 256
    for end, kind, bits in ((0x8F, "map", 15), (0x9F, "list", 15), (0xBF, "text", 31)):
        if first <= end:
            return kind, first & bits
    if first in _FIXED:
        return "value", _FIXED[first]
    if first in _NUMBERS:
        return "value", _number(file, _NUMBERS[first])
    if 0xD4 <= first <= 0xD8:
        return "extension", 1 << (first - 0xD4)
    if first not in _SIZED:
        raise ValueError(f"byte {first:#x} is no type of msgpack's")
    kind, length = _SIZED[first]
    return kind, _number(file, length)


def _object(file: BinaryIO, size: int):
    """Reads one object, which ends before `size`."""
    kind, content = _header(file)
    match kind:
        case "list":
            return [_object(file, size) for _ in range(content)]
        case "map":
            found = {}
            for _ in range(content):
                key = _object(file, size)
                found[key] = _object(file, size)
            return _joined(found) if _CHUNKED in found else found
        case "text":
            _end(file, content, size)
            return _take(file, content).decode()
        case "bytes":
            file.seek(_end(file, content, size))
            return None
        case "extension":
            code = _number(file, "b")
            end = _end(file, content, size)
            found = _array(file, end) if code in _ARRAYS else None
            file.seek(end)
            return found
    return content


def _end(file: BinaryIO, length: int, size: int) -> int:
    """Returns where what is to come ends."""
    end = file.tell() + length
    if end > size:
        raise EOFError("it ends too early")
    return end


def _array(file: BinaryIO, end: int) -> _Array:
    """Reads all of an array but its numbers, which go up to `end`."""
    if _header(file) != ("list", 3):
        raise ValueError("an array is not (shape, type, bytes)")
    shape, name = _object(file, end), _object(file, end)
    kind, length = _header(file)
    start = file.tell()
    dtype = _BFLOAT16 if name == "bfloat16" else np.dtype(str(name))
    if kind != "bytes" or start + length != end:
        raise ValueError("an array has no bytes of its own")
    return _checked(_Array(tuple(shape), dtype, ((start, length),)))


def _joined(found: dict) -> _Array:
    """Returns the array that stands in pieces."""
    pieces = [found["chunks"][str(i)] for i in range(len(found["chunks"]))]
    shape = tuple(found["shape"][str(i)] for i in range(len(found["shape"])))
    if len({piece.dtype for piece in pieces}) != 1:
        raise ValueError("an array's pieces are of several types")
    return _checked(_Array(shape, pieces[0].dtype, tuple(r for p in pieces for r in p.runs)))


def _checked(array: _Array) -> _Array:
    whole = all(isinstance(size, int) and size >= 0 for size in array.shape)
    due = math.prod(array.shape) * array.dtype.itemsize if whole else -1
    if array.dtype.hasobject or sum(length for _, length in array.runs) != due:
        raise ValueError(f"an array {list(array.shape)} {array.dtype.name} has other bytes")
    return array


def _views(path: str, tree):
    """Returns a tree with every array a StoredTensor."""
    match tree:
        case _Array(shape, dtype):
            return StoredTensor(shape, dtype, lambda index: _read(path, tree, index))
        case dict():
            return {key: _views(path, value) for key, value in tree.items()}
        case list():
            return [_views(path, value) for value in tree]
    return tree


def _read(path: str, array: _Array, index: Index) -> np.ndarray:
    """Reads a part of an array, in as many runs as it lies in: whole rows are one."""
    sizes = [i.stop - i.start for i in index]
    result = np.empty(sizes, array.dtype)
    if not result.size:
        return result
    last = len(sizes)  # axes from here on are taken whole
    while last and sizes[last - 1] == array.shape[last - 1]:
        last -= 1
    starts = np.zeros((), np.int64)
    for axis in range(last):
        stride = math.prod(array.shape[axis + 1 :])
        places = index[axis].start + np.arange(sizes[axis] if axis < last - 1 else 1)
        starts = np.add.outer(starts, places * stride)
    data = result.reshape(starts.size, -1).view(np.uint8)
    begins = list(itertools.accumulate((length for _, length in array.runs), initial=0))
    with files.open_bytes(path) as file, files.errors_at(path):
        for start, run in zip(starts.flat, data, strict=True):
            _fill(file, array.runs, begins, int(start) * array.dtype.itemsize, memoryview(run))
    return result


def _fill(file: BinaryIO, runs, begins: list[int], start: int, run: memoryview) -> None:
    """Reads the bytes of an array from `start` on into `run`. begins: of the array's pieces."""
    done = 0
    while done < len(run):
        piece = bisect_right(begins, start + done) - 1
        offset = start + done - begins[piece]
        file.seek(runs[piece][0] + offset)
        read = file.readinto(run[done : done + runs[piece][1] - offset])
        if not read:
            raise OSError("it has become shorter")
        done += read
