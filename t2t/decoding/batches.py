"""Rows of any lengths in batches of like lengths, padded to few shapes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from t2t.parallel.mesh_config import ROWS
from t2t.parallel.sharding import batch_sharding

SHORTEST = 16


class Batch(NamedTuple):
    """Which rows stand together."""

    indices: list[int]  # of the rows
    filled: list[int]  # the same, its last repeated to a full shape: it ends when the row does
    length: int  # to pad to


def bucket(length: int, shortest: int = SHORTEST) -> int:
    """The shape a length is padded to: 16, 32, 48, 64, 96, 128, 192, 256, 384, ...: at most a half
    more tokens (above 32), and two compiled shapes for each doubling."""
    power = max(shortest, 1 << max(length - 1, 0).bit_length())
    between = power // 4 * 3
    return between if length <= between and between % shortest == 0 else power


def batches(
    lengths: Sequence[int], batch_size: int, mesh: jax.sharding.Mesh | None = None
) -> list[Batch]:
    """Cuts rows of these lengths into batches, longest first (memory runs out at once or never).

    All have `batch_size` rows, rounded up to a multiple of the mesh's batch axes, but the last: it
    has a power of two of them, at most twice the rows left. Rows of one length stay in order.
    """
    parts = 1
    if mesh is not None:
        parts = math.prod(mesh.shape[axis] for axis in ROWS)
    size = -(-batch_size // parts) * parts
    order = sorted(range(len(lengths)), key=lambda i: -bucket(lengths[i]))
    result = []
    for first in range(0, len(order), size):
        indices = order[first : first + size]
        full = min(size, parts * (1 << (-(-len(indices) // parts) - 1).bit_length()))
        filled = indices + [indices[-1]] * (full - len(indices))
        result.append(Batch(indices, filled, bucket(max(lengths[i] for i in indices))))
    return result


def padded(rows: Sequence[np.ndarray], length: int, before: bool = False) -> dict[str, np.ndarray]:
    """Inputs {tokens, segments}, [B, length] int32 each; segments 0 on padding, which stands behind
    each row or before it."""
    tokens = np.zeros((len(rows), length), np.int32)
    segments = np.zeros_like(tokens)
    for number, row in enumerate(rows):
        place = slice(length - len(row), length) if before else slice(len(row))
        tokens[number, place], segments[number, place] = row, 1
    return {"tokens": tokens, "segments": segments}


def laid_out(arrays, mesh: jax.sharding.Mesh | None):
    """A tree of host arrays [B, ...] on the mesh, rows over its batch axes; on any number of hosts,
    each of which holds all rows."""
    if mesh is None:
        return arrays

    def place(array: np.ndarray) -> jax.Array:
        sharding = batch_sharding(mesh, array)
        return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])

    return jax.tree.map(place, arrays)
