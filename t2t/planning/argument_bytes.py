"""Bytes of a program's arguments on one device: the shards themselves, and the tiles that hold them.

A TPU keeps an array in tiles (float32: 8 x 128), each of which it keeps whole: a norm's scale of 32
columns takes 128, a single number 512 bytes. What the shards have and what their tiles take are both
computed here from shapes, shardings and layouts; the second is what the compiler counts, to the byte.
"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np


class ArgumentBytes(NamedTuple):
    """Bytes of a device's part of every argument. unused: of those that the program does not take;
    tiled: of those that it takes, in whole tiles; padding: by how much those are more."""

    shards: int
    unused: int
    tiled: int

    @property
    def padding(self) -> int:
        return self.tiled - (self.shards - self.unused)


def shard_bytes(tree: Any) -> int:
    """Returns the bytes of a device's part of every array of a tree (with shardings)."""
    return sum(_size(x) for x in jax.tree.leaves(tree))


def argument_bytes(arguments: tuple, formats: tuple) -> ArgumentBytes:
    """Returns the bytes of what a compiled program is called with.

    arguments: arrays or shapes with shardings; formats: of `compiled.input_formats`, the same tree.
    """
    shards = unused = tiled = 0
    pairs = zip(jax.tree.leaves(arguments), jax.tree.leaves(formats), strict=True)
    for x, found in pairs:
        shards += _size(x)
        if found.layout is None:
            unused += _size(x)
        else:
            shape = x.sharding.shard_shape(x.shape)
            order, tiling = found.layout.major_to_minor, found.layout.tiling
            tiled += tiled_count(shape, order, tiling) * x.dtype.itemsize
    return ArgumentBytes(shards, unused, tiled)


def tiled_count(
    shape: tuple[int, ...], major_to_minor: tuple[int, ...], tiling: tuple[tuple[int, ...], ...]
) -> int:
    """Returns how many elements an array takes in whole tiles.

    tiling: the first lies over the minor-most dimensions, (1024,) or (8, 128), and fills each of them
    up to a multiple; further ones, (2, 1), only order what is inside of a tile.
    """
    sizes = [shape[i] for i in major_to_minor]
    tile = tiling[0] if tiling else ()
    sizes = [1] * (len(tile) - len(sizes)) + sizes  # a single number lies in a tile too
    for i, side in enumerate(reversed(tile), 1):
        sizes[-i] = -(-sizes[-i] // side) * side
    return math.prod(sizes)


def _size(x) -> int:
    return int(np.prod(x.sharding.shard_shape(x.shape), dtype=np.int64)) * x.dtype.itemsize
