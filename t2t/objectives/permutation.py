"""Which tokens a permutation language model predicts, and what each place may see: whole batches, NumPy.

Targets are spans spread over a text, as XLNet's data_utils.py has them: of n tokens from the beginning
of a word on, n with a probability in 1/n, at a random place of a context of `one_in` * n more. Tokens
drawn alone make up what is missing of the budget.
"""

import numpy as np

from t2t.data.order import below


def turns(width: int, one_in: int) -> int:
    """The most spans that a text of `width` tokens has room for."""
    return width // (one_in + 1) + 1


def choose(
    begins: np.ndarray,
    maskable: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    budget: np.ndarray,
    longest: int,
    one_in: int,
    bits: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Returns which tokens of columns first [E] .. last [E] are targets: bool [E, W].

    They are budget [E] of each text, or all that are maskable where those are fewer.
    begins [E, W]: a word begins here; maskable [E, W]: the token may be a target.
    bits uint32: lengths and places of spans [E, turns] each, order of single tokens [E, W].
    """
    examples, width = begins.shape
    length_bits, place_bits, single_bits = bits
    column, rows = np.arange(width), np.arange(examples)
    # The next word's beginning at or behind a column; there is none behind the last.
    following = np.full((examples, width + 1), width)
    at_begin = np.where(begins, column, width)
    following[:, :-1] = np.minimum.accumulate(at_begin[:, ::-1], axis=1)[:, ::-1]
    before = np.zeros((examples, width + 1), np.int64)
    np.cumsum(maskable, axis=1, out=before[:, 1:])
    law = np.cumsum(1.0 / np.arange(1, longest + 1))
    ends = law[:-1] / law[-1] * 2.0**32
    chosen = np.zeros((examples, width), bool)
    here, left = first.astype(np.int64), np.asarray(budget, np.int64).copy()
    active = np.ones(examples, bool)
    for turn in range(length_bits.shape[1]):
        number = np.minimum(1 + (length_bits[:, turn, None] >= ends).sum(axis=1), left)
        context = number * one_in
        ahead = below(place_bits[:, turn], np.maximum(context, 1))
        begin = following[rows, np.minimum(here + ahead, width)]
        end = begin + number
        active &= (left > 0) & (end < last)
        if not active.any():
            break
        for more in range(longest):
            put = np.flatnonzero(active & (more < number))
            chosen[put, begin[put] + more] = True
        stop, start = np.where(active, end, 0), np.where(active, begin, 0)
        left -= before[rows, stop] - before[rows, start]
        here = end + context - ahead
    chosen &= maskable
    free = maskable & ~chosen & (column >= first[:, None]) & (column < last[:, None])
    keys = np.where(free, single_bits.astype(np.int64), 1 << 32)
    place = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
    return chosen | (free & (place < left[:, None]))


def ranks(hidden: np.ndarray, part: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Returns int32 [E, W]: a token sees those whose rank is not above its own.

    hidden [E, W]: tokens that come one after the other, in a random order, behind the others of their
    part, which all see each other. part int [E, W]: one of a lower number comes first. bits uint32
    [E, W].
    """
    width = hidden.shape[1]
    keys = (part.astype(np.int64) << 32) + bits
    place = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
    base = part * (width + 1)
    return np.where(hidden, base + 1 + place, base).astype(np.int32)
