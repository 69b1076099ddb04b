"""A tensor in somebody's file, read in the pieces that are wanted: views of it move no data.

A leaf of ours (stacked layers, transposed kernels, padded tables) is such a view of their tensors,
so that a shard or a layer of it costs the memory of that shard or layer alone. Tensors of theirs
are such views of our leaves.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Index = tuple[slice, ...]


@dataclass(frozen=True)
class StoredTensor:
    """Shape, stored type, and `read(index) -> array` for one slice an axis, of step 1.

    A slice has both ends, from 0 to the size: `at` takes any other.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Index], np.ndarray]

    def whole(self) -> np.ndarray:
        """Returns all of it."""
        return self.read(tuple(slice(0, size) for size in self.shape))

    def at(self, index: Index) -> np.ndarray:
        """Returns a part by slices whose ends may be open or negative."""
        ends = (i.indices(size) for i, size in zip(index, self.shape, strict=True))
        return self.read(tuple(slice(start, stop) for start, stop, _ in ends))

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def transposed(tensor: StoredTensor) -> StoredTensor:
    """Returns the view with all axes reversed."""
    return StoredTensor(tensor.shape[::-1], tensor.dtype, lambda index: tensor.read(index[::-1]).T)


def stacked(tensors: Sequence[StoredTensor]) -> StoredTensor:
    """Returns equal tensors along a new first axis; only those asked for are read.

    Their type is the widest of theirs: some systems store a few layers in float32.
    """
    dtype = np.result_type(*(t.dtype for t in tensors))

    def read(index: Index) -> np.ndarray:
        chosen = range(len(tensors))[index[0]]
        sizes = (i.stop - i.start for i in index[1:])
        result = np.empty((len(chosen), *sizes), dtype)
        for place, which in enumerate(chosen):
            result[place] = tensors[which].read(index[1:])
        return result

    return StoredTensor((len(tensors), *tensors[0].shape), dtype, read)


def row(tensor: StoredTensor, number: int) -> StoredTensor:
    """Returns the view of one place on the first axis."""

    def read(index: Index) -> np.ndarray:
        return tensor.read((slice(number, number + 1), *index))[0]

    return StoredTensor(tensor.shape[1:], tensor.dtype, read)


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


def split_axis(tensor: StoredTensor, axis: int, parts: int) -> StoredTensor:
    """Returns the view with `axis` as two, the first of size `parts`; both are read whole."""
    size = tensor.shape[axis] // parts
    shape = (*tensor.shape[:axis], parts, size, *tensor.shape[axis + 1 :])

    def read(index: Index) -> np.ndarray:
        block = tensor.read((*index[:axis], slice(0, parts * size), *index[axis + 2 :]))
        block = block.reshape(*block.shape[:axis], parts, size, *block.shape[axis + 1 :])
        return block[(*[slice(None)] * axis, *index[axis : axis + 2])]

    return StoredTensor(shape, tensor.dtype, read)


def part_of(tensor: StoredTensor, number: int, parts: int) -> StoredTensor:
    """Returns the view of the `number`th of `parts` equal parts of the last axis."""
    size = tensor.shape[-1] // parts

    def read(index: Index) -> np.ndarray:
        start = number * size
        return tensor.read((*index[:-1], slice(start + index[-1].start, start + index[-1].stop)))

    return StoredTensor((*tensor.shape[:-1], size), tensor.dtype, read)


def joined(tensors: Sequence[StoredTensor]) -> StoredTensor:
    """Returns tensors side by side along the last axis; that axis is read whole."""
    sizes = [t.shape[-1] for t in tensors]

    def read(index: Index) -> np.ndarray:
        blocks = [t.read((*index[:-1], slice(0, t.shape[-1]))) for t in tensors]
        return np.concatenate(blocks, axis=-1)[..., index[-1]]

    return StoredTensor((*tensors[0].shape[:-1], sum(sizes)), tensors[0].dtype, read)


def padded(tensor: StoredTensor, axis: int, size: int) -> StoredTensor:
    """Returns the view of a vocabulary's table with `size` entries, the missing ones copies of 0.

    Entry 0 is the padding token's, which no model was trained to predict; zeros would be tokens of
    logit 0, more probable than most real ones.
    """
    if tensor.shape[axis] >= size:
        return tensor

    def read(index: Index) -> np.ndarray:
        start, stop = index[axis].start, index[axis].stop

        def entries(first: int, last: int) -> np.ndarray:
            return tensor.read((*index[:axis], slice(first, last), *index[axis + 1 :]))

        known = tensor.shape[axis]
        real = entries(min(start, known), min(stop, known))
        copies = stop - start - real.shape[axis]
        return np.concatenate([real, np.repeat(entries(0, 1), copies, axis)], axis)

    shape = (*tensor.shape[:axis], size, *tensor.shape[axis + 1 :])
    return StoredTensor(shape, tensor.dtype, read)


def blocks(tensor: StoredTensor, largest_bytes: int) -> Iterator[Index]:
    """Yields indices that cover a tensor in order, in blocks of at most so many bytes or one row.

    A block is a run of the first axis; of a stack of layers, whose rows are large, of the second.
    """
    if not tensor.shape:
        yield ()
        return
    shape = tensor.shape
    inner = tensor.nbytes // max(shape[0], 1)
    if len(shape) > 2 and inner > largest_bytes:
        for number in range(shape[0]):
            for index in blocks(row(tensor, number), largest_bytes):
                yield (slice(number, number + 1), *index)
        return
    rows = max(1, largest_bytes // max(inner, 1))
    rest = tuple(slice(0, size) for size in shape[1:])
    for start in range(0, shape[0], rows):
        yield (slice(start, min(start + rows, shape[0])), *rest)


def equal(a: StoredTensor, b: StoredTensor, largest_bytes: int = 1 << 26) -> bool:
    """Whether two tensors hold the same values; a block of each is read at a time."""
    if a.shape != b.shape:
        return False
    return all(np.array_equal(a.read(i), b.read(i)) for i in blocks(a, largest_bytes))


def of_array(array: np.ndarray) -> StoredTensor:
    """Returns the view of an array in memory."""
    return StoredTensor(array.shape, array.dtype, lambda index: array[index])
