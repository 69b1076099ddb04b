"""A tensor in somebody's file, read in the pieces that are wanted: views of it move no data.

A leaf of ours (stacked layers, transposed kernels, padded tables) is such a view of their tensors,
so that a shard or a layer of it costs the memory of that shard or layer alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Index = tuple[slice, ...]


@dataclass(frozen=True)
class StoredTensor:
    """Shape, stored type, and `read(index) -> array` for one slice an axis (step 1)."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Index], np.ndarray]

    def whole(self) -> np.ndarray:
        """Returns all of it."""
        return self.read(tuple(slice(0, size) for size in self.shape))


def transposed(tensor: StoredTensor) -> StoredTensor:
    """Returns the view with all axes reversed."""
    return StoredTensor(tensor.shape[::-1], tensor.dtype, lambda index: tensor.read(index[::-1]).T)


def stacked(tensors: Sequence[StoredTensor]) -> StoredTensor:
    """Returns equal tensors along a new first axis; only those asked for are read."""
    first = tensors[0]

    def read(index: Index) -> np.ndarray:
        chosen = range(len(tensors))[index[0]]
        sizes = (len(range(n)[i]) for n, i in zip(first.shape, index[1:], strict=True))
        result = np.empty((len(chosen), *sizes), first.dtype)
        for place, which in enumerate(chosen):
            result[place] = tensors[which].read(index[1:])
        return result

    return StoredTensor((len(tensors), *first.shape), first.dtype, read)


def axis_first(tensor: StoredTensor, axis: int) -> StoredTensor:
    """Returns the view with `axis` moved to the front."""
    order = (axis, *(a for a in range(len(tensor.shape)) if a != axis))

    def read(index: Index) -> np.ndarray:
        theirs = [slice(None)] * len(order)
        for place, a in enumerate(order):
            theirs[a] = index[place]
        return np.moveaxis(tensor.read(tuple(theirs)), axis, 0)

    return StoredTensor(tuple(tensor.shape[a] for a in order), tensor.dtype, read)


def merged_axes(tensor: StoredTensor, axis: int) -> StoredTensor:
    """Returns the view with `axis` and the one after it as one; both are read whole."""
    first, second = tensor.shape[axis : axis + 2]
    shape = (*tensor.shape[:axis], first * second, *tensor.shape[axis + 2 :])

    def read(index: Index) -> np.ndarray:
        both = (slice(0, first), slice(0, second))
        block = tensor.read((*index[:axis], *both, *index[axis + 1 :]))
        block = block.reshape(*block.shape[:axis], first * second, *block.shape[axis + 2 :])
        return block[(*[slice(None)] * axis, index[axis])]

    return StoredTensor(shape, tensor.dtype, read)


def padded_rows(tensor: StoredTensor, rows: int) -> StoredTensor:
    """Returns the view [rows, ...] of a vocabulary's table, its missing rows copies of row 0.

    Row 0 is the padding token's, which no model was trained to predict; zeros would be tokens of
    logit 0, more probable than most real ones.
    """
    if tensor.shape[0] == rows:
        return tensor

    def read(index: Index) -> np.ndarray:
        wanted = range(rows)[index[0]]
        start, stop = min(wanted.start, tensor.shape[0]), min(wanted.stop, tensor.shape[0])
        real = tensor.read((slice(start, stop), *index[1:]))
        pad = tensor.read((slice(0, 1), *index[1:]))
        return np.concatenate([real, np.repeat(pad, len(wanted) - len(real), axis=0)])

    return StoredTensor((rows, *tensor.shape[1:]), tensor.dtype, read)


def equal(a: StoredTensor, b: StoredTensor, rows: int = 4096) -> bool:
    """Whether two tensors hold the same values, compared `rows` rows at a time."""
    if a.shape != b.shape:
        return False
    rest = tuple(slice(0, size) for size in a.shape[1:])
    for start in range(0, a.shape[0], rows):
        index = (slice(start, min(start + rows, a.shape[0])), *rest)
        if not np.array_equal(a.read(index), b.read(index)):
            return False
    return True
