"""The order of samples and their randomness, by arithmetic: nothing stored, any place at once.

Three pieces: a counter hash (sample i of a run draws the same bits wherever and whenever it is
made), a keyed bijection (an epoch's order without a stored permutation), and the batch schedule
(which samples a step takes, also under batch ramps and after a resume with another batch size).
"""

import functools
import hashlib
import math
from collections.abc import Sequence

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_ROUNDS = 8

Pieces = tuple[tuple[int, int], ...]


def _mix(x: np.ndarray) -> np.ndarray:
    """splitmix64's finalizer (Steele, Lea and Flood 2014), in place on uint64."""
    x ^= x >> np.uint64(30)
    x *= _MULTIPLY_1
    x ^= x >> np.uint64(27)
    x *= _MULTIPLY_2
    x ^= x >> np.uint64(31)
    return x


@functools.lru_cache(maxsize=4096)
def key_of(seed: int, purpose: str | int) -> tuple[int, int]:
    """Returns two 64-bit keys for (seed, purpose), the same on every machine and Python."""
    digest = hashlib.blake2b(f"{seed}/{purpose!r}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def random_bits(seed: int, purpose: str | int, samples: np.ndarray, count: int) -> np.ndarray:
    """Returns uint32 [B, count]: bits j of sample i are a function of (seed, purpose, i, j) only.

    Each sample has its own splitmix64 stream, started at a hash of its number.
    """
    first, second = key_of(seed, purpose)
    start = _mix(np.asarray(samples).astype(np.uint64) + np.uint64(first))
    start = _mix(start ^ np.uint64(second))
    pairs = (count + 1) // 2
    x = start[:, None] + _GOLDEN * np.arange(1, pairs + 1, dtype=np.uint64)
    # Low half first on any machine, so that the bits do not depend on its byte order.
    return _mix(x).astype("<u8", copy=False).view("<u4")[:, :count]


def below(bits: np.ndarray, limit: np.ndarray | int) -> np.ndarray:
    """Turns uint32 bits into int64 in [0, limit), limit < 2^32 (bias under limit / 2^32)."""
    wide = bits.astype(np.uint64) * np.asarray(limit).astype(np.uint64)
    return (wide >> np.uint64(32)).astype(np.int64)


def hash_of(seed: int, purpose: str | int, numbers: np.ndarray) -> np.ndarray:
    """Returns one uint64 a number: keys for `permute`, offsets of epochs."""
    bits = random_bits(seed, purpose, np.asarray(numbers).reshape(-1), 2).astype(np.uint64)
    return (bits[:, 0] | (bits[:, 1] << np.uint64(32))).reshape(np.shape(numbers))


def permute(index: np.ndarray, size: int, key: np.ndarray | int) -> np.ndarray:
    """A keyed bijection of range(size), element by element; `key` (uint64) may differ by element.

    A Feistel network over Z_a x Z_a with a = ceil(sqrt(size)) and additions modulo a (Black and
    Rogaway 2002), walking the few results >= size on along their cycle. size < 2^62.
    """
    index = np.asarray(index, np.int64)
    if size < 1 or (index.size and (index.min() < 0 or index.max() >= size)):
        raise ValueError(f"permute: indices must be in range({size})")
    side = math.isqrt(size - 1) + 1
    keys, which = np.unique(np.asarray(key, np.uint64), return_inverse=True)
    constants = _mix(keys + _GOLDEN * np.arange(1, _ROUNDS + 1, dtype=np.uint64)[:, None])
    which = np.broadcast_to(which.reshape(np.shape(key)), index.shape).reshape(-1)
    result = index.reshape(-1).copy()
    walking = np.arange(result.size)
    while walking.size:
        rounds = constants if len(keys) == 1 else constants[:, which[walking]]
        result[walking] = _feistel(result[walking], side, rounds)
        walking = walking[result[walking] >= size]
    return result.reshape(index.shape)


def _feistel(index: np.ndarray, side: int, rounds: np.ndarray) -> np.ndarray:
    modulus = np.uint64(side)
    left, right = np.divmod(index.astype(np.uint64), modulus)
    for constant in rounds:
        step = _mix(constant + right) % modulus
        left, right = right, (left + step) % modulus
    return (left * modulus + right).astype(np.int64)


def check_pieces(pieces: Pieces) -> None:
    """Raises ValueError unless pieces are ((0, size), (step, size), ...) with steps increasing."""
    steps = [step for step, _ in pieces]
    if not pieces or steps[0] != 0 or any(b <= a for a, b in zip(steps, steps[1:], strict=False)):
        raise ValueError(f"batch schedule {pieces}: must start at step 0 and increase")
    if any(size < 1 for _, size in pieces):
        raise ValueError(f"batch schedule {pieces}: batch sizes must be at least 1")


def sample_range(pieces: Pieces, step: int) -> tuple[int, int]:
    """Returns (first sample, batch size) of `step`, under pieces ((from_step, size), ...)."""
    check_pieces(pieces)
    if step < 0:
        raise ValueError(f"step {step} is negative")
    first = 0
    for (begin, size), (end, _) in zip(pieces, pieces[1:], strict=False):
        if step < end:
            return first + (step - begin) * size, size
        first += (end - begin) * size
    begin, size = pieces[-1]
    return first + (step - begin) * size, size


def continue_schedule(old: Sequence, new: Sequence, step: int) -> Pieces:
    """The schedule of a run resumed at `step`: `old` sizes before it, `new` sizes from it on.

    The first sample of `step` is the one the old schedule would have taken: none is skipped, none
    comes twice.
    """
    old, new = tuple(map(tuple, old)), tuple(map(tuple, new))
    check_pieces(old)
    check_pieces(new)
    if step < 0:
        raise ValueError(f"step {step} is negative")
    kept = [piece for piece in old if piece[0] < step]
    in_force = [size for begin, size in new if begin <= step][-1]
    joined = [*kept, (step, in_force), *(piece for piece in new if piece[0] > step)]
    # Two neighbours of one size are one piece: resuming with the same schedule changes nothing.
    merged: list[tuple[int, int]] = []
    for begin, size in joined:
        if not merged or merged[-1][1] != size:
            merged.append((begin, size))
    return tuple(merged)
