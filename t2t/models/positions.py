"""T5's relative position bias: a learned scalar per head and bucket of the distance key - query."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.parameters import Declare, Spread, unsplit

# The most devices that the rows of a bias are laid out on without copies of others' (a power of 2).
_BLOCKS = 64


def relative_bucket(
    distance: np.ndarray, bidirectional: bool, buckets: int, max_distance: int
) -> np.ndarray:
    """The bucket of each distance (key position - query position), as T5 and T5X have it.

    Half of a direction's buckets are exact distances, the rest grow logarithmically up to
    `max_distance`. Bidirectional: the upper half of the buckets is for keys ahead of the query.
    Otherwise keys ahead share bucket 0. Logarithms are float32, as in every published system.
    """
    distance = np.asarray(distance)
    offset = np.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        offset = np.where(distance > 0, buckets, 0)
        behind = np.abs(distance)
    else:
        behind = np.maximum(-distance, 0)
    exact = buckets // 2
    ratio = np.maximum(behind, 1).astype(np.float32) / np.float32(exact)
    growth = np.log(ratio) / np.float32(np.log(max_distance / exact)) * np.float32(buckets - exact)
    coarse = np.minimum(exact + growth.astype(np.int32), buckets - 1)
    return offset + np.where(behind < exact, behind, coarse)


class RelativeBias(nnx.Module):
    """Table [heads, buckets] -> bias [n, heads, T, S], the same for every row of a batch.

    n: once for each part that the rows are split into. So its gradient [heads, T, S], of every layer,
    stays where it is computed, and that of the table alone is summed over devices.
    """

    def __init__(
        self,
        arch: Architecture,
        declare: Declare,
        bidirectional: bool,
        spread: Spread = unsplit,
    ):
        init = jax.nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
        shape = (arch.heads, arch.relative_buckets)
        self.table = declare(init, shape, ("heads", "buckets"))
        self.dtype = arch.dtype
        self.bidirectional = bidirectional
        self.max_distance = arch.relative_max_distance
        self.spread = spread

    def __call__(
        self, rows: int, queries: int, keys: int, first_query: jax.Array | None = None
    ) -> jax.Array:
        """Bias of queries at `first_query`.. (0 when None) against keys at 0..; [n, H, T, S].

        `first_query` may be traced and is at most keys - queries.
        """
        # The bias depends on key - query alone: T + S - 1 values, laid out diagonal by diagonal.
        lowest = -(queries - 1) if first_query is None else -(keys - 1)
        distances = np.arange(lowest, keys)
        table = self.spread(self.table[...], rows).astype(self.dtype)
        bucket = relative_bucket(distances, self.bidirectional, table.shape[-1], self.max_distance)
        diagonals = table[..., bucket]
        if first_query is not None:
            diagonals = jax.lax.dynamic_slice_in_dim(
                diagonals, keys - queries - first_query, queries + keys - 1, axis=2
            )
        return jax.vmap(lambda part: toeplitz(part, queries, keys))(diagonals)


def toeplitz(diagonals: jax.Array, rows: int, columns: int) -> jax.Array:
    """[H, rows + columns - 1] -> [H, rows, columns] with out[r, c] = diagonals[c - r + rows - 1].

    Repeat the padded vector once a row, then read it back with rows one shorter: each row starts
    one step earlier. Only copies, so the gradient is a sum over rows and never a scatter. Made in
    blocks of rows, for where rows are sharded: no device lays out another's.
    """
    heads, blocks = diagonals.shape[0], math.gcd(rows, _BLOCKS)
    inside, period = rows // blocks, rows // blocks + columns
    parts = [
        jax.lax.slice_in_dim(diagonals, begin, begin + period - 1, axis=1)
        for begin in range(rows - inside, -1, -inside)
    ]
    padded = jnp.pad(jnp.stack(parts, axis=1), ((0, 0), (0, 0), (0, 1)))
    flat = jnp.broadcast_to(padded[:, :, None], (heads, blocks, inside, period))
    flat = flat.reshape(heads, blocks, -1)[:, :, : inside * (period - 1)]
    skewed = flat.reshape(heads, blocks, inside, period - 1)[..., inside - 1 :]
    return skewed.reshape(heads, rows, columns)
