"""A 32-bit fingerprint of every leaf of a state, the same on any mesh.

Orbax restores flipped bits in array data silently (measured: 27 of 27), so every leaf is
fingerprinted on the devices when it is saved and again when it is restored:

    sum over elements of  mix(bits(x_i) ^ (i * 0x9E3779B1))  mod 2^32,   i = global row-major index

The sum is over integers, so neither sharding nor the order of reduction changes it. `mix` is a
bijection of 32-bit words, so one changed element always changes the sum, whatever the change; a
linear weighting instead of `mix` would not see an even number of flipped sign bits. Any other
damage is missed once in 2^32.
"""

import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from t2t.training.leaf_names import named_leaves

_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def _words(x: jax.Array) -> jax.Array:
    """Returns the bits of `x` as uint32 words; an 8-byte element is two words on a last axis."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(x)
    if x.dtype == jnp.bool_ or x.dtype.name in ("int4", "uint4", "int2", "uint2"):
        return x.astype(jnp.int8).astype(jnp.uint32)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return _words(jnp.stack([x.real, x.imag], axis=-1))
    if x.dtype.itemsize == 8:
        return lax.bitcast_convert_type(x, jnp.uint32)
    return lax.bitcast_convert_type(x, _UNSIGNED[x.dtype.itemsize]).astype(jnp.uint32)


def mix(h: jax.Array) -> jax.Array:
    """A bijection of uint32: every input bit reaches every output bit about half of the time."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x7FEB352D)
    h = (h ^ (h >> 15)) * jnp.uint32(0x846CA68B)
    return h ^ (h >> 16)


def fingerprint(
    x: jax.Array,
    shape: tuple[int, ...] | None = None,
    starts: jax.Array | None = None,
    block: int | None = None,
) -> jax.Array:
    """Returns the uint32 [] fingerprint of one array, or the part of it that a shard adds.

    shape, starts (uint32 [ndim]): the whole array's shape and where the shard begins in it.
    block: elements taken at a time (None: all). XLA does not fuse the mixing into the sum on CPUs;
    in small blocks what it writes between stays in the cache (measured: 0.06 s a 300 MB, not 0.4).
    The index wraps modulo 2^32 in arrays of more elements; each element still counts.
    """
    sizes = x.shape if shape is None else shape
    rows = x.shape[0] if x.ndim else 1
    step = rows
    if block is not None and x.size > block:
        each = x.size // rows
        step = max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * each <= block))

    def part(piece: jax.Array, first: jax.Array | int) -> jax.Array:
        words = _words(piece)
        extents = (*sizes, *words.shape[x.ndim :])
        strides = [
            jnp.uint32(math.prod(extents[axis + 1 :]) * 0x9E3779B1 % 2**32)
            for axis in range(words.ndim)
        ]
        index = jnp.zeros(words.shape, jnp.uint32)
        for axis, stride in enumerate(strides):
            begin = jnp.uint32(0) if starts is None or axis >= x.ndim else starts[axis]
            if axis == 0 and x.ndim:
                begin = begin + jnp.asarray(first, jnp.uint32)
            index += (lax.broadcasted_iota(jnp.uint32, words.shape, axis) + begin) * stride
        return jnp.sum(mix(words ^ index), dtype=jnp.uint32)

    if step == rows:
        return part(x, 0)
    return lax.fori_loop(
        0,
        rows // step,
        lambda i, total: total + part(lax.dynamic_slice_in_dim(x, i * step, step), i * step),
        jnp.uint32(0),
    )


_part = jax.jit(fingerprint, static_argnames=("shape", "block"))


def _parts(x: jax.Array) -> list[jax.Array]:
    """Starts the fingerprints of this process's shards of `x`; copies of a shard count once."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    result = []
    for shard in x.addressable_shards:
        if shard.replica_id == 0:
            starts = np.array([index.start or 0 for index in shard.index], np.uint64)
            cpu = shard.device.platform == "cpu"
            result.append(
                _part(
                    shard.data,
                    x.shape,
                    (starts % 2**32).astype(np.uint32),
                    1 << 18 if cpu else None,
                )
            )
    return result


def fingerprint_of_run(values: np.ndarray, start: int) -> int:
    """Returns what a run of an array's elements, from the flat index `start`, adds to its fingerprint.

    The sum over all runs, modulo 2^32, is the fingerprint of an array that is never whole in memory.
    Pieces are powers of two long, so that the same few programs serve every run.
    """
    flat, total, at = values.reshape(-1), 0, 0
    while at < flat.size:
        size = min(1 << 18, 1 << ((flat.size - at).bit_length() - 1))
        begin = np.array([(start + at) % 2**32], np.uint32)
        total += int(_part(jnp.asarray(flat[at : at + size]), None, begin))
        at += size
    return total


def fingerprints(tree) -> dict[str, int]:
    """Returns {leaf name: fingerprint}. Shard by shard, without a collective; waits for it."""
    leaves = named_leaves(tree)
    started = [_parts(jnp.asarray(x)) for x in leaves.values()]
    sums = np.array([sum(map(int, parts)) % 2**32 for parts in jax.device_get(started)], np.uint32)
    if jax.process_count() > 1 and leaves:
        from jax.experimental import multihost_utils

        sums = np.sum(multihost_utils.process_allgather(sums), axis=0, dtype=np.uint64) % 2**32
    return {name: int(value) for name, value in zip(leaves, sums, strict=True)}


def differing(stored: dict[str, int], found: dict[str, int]) -> Iterable[str]:
    """Yields the names in `found` whose fingerprint is not the stored one (or was not stored)."""
    return (name for name, value in found.items() if stored.get(name) != value)
