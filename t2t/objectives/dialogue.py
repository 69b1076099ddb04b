"""ERNIE 1.0's dialogues (arXiv:1904.09223, section 3.3): up to three turns, of which one may be another's."""

from typing import NamedTuple

import numpy as np

from t2t.data.order import below
from t2t.data.span_marks import BEGINS_TURN, RESPONSE

MOST_TURNS = 3


class Turns(NamedTuple):
    """Turns of each example in [text | other text]: where and how long, int64 [E, 3]; size 0: none.

    roles: 0 for a query, 1 for a response. label 1: a turn is another dialogue's.
    """

    first: np.ndarray
    size: np.ndarray
    roles: np.ndarray
    label: np.ndarray


def choose_turns(
    text: np.ndarray,
    sizes: np.ndarray,
    bits: np.ndarray,
    other: np.ndarray,
    other_sizes: np.ndarray,
) -> Turns:
    """Takes three turns in a row of each text, all alike likely, or as many as it has.

    Half of the time one of them, where there are more, gives way to a turn of another dialogue, which is
    cut where the row has no room; it speaks in the place, and the role, of the one it replaces. text,
    other: tokens with their marks, [E, W] each; bits uint32 [E, 2].
    """
    begins = text & BEGINS_TURN > 0
    begins[:, 0] = True  # of a turn whose beginning stands in the row before
    begins &= np.arange(text.shape[1]) < sizes[:, None]
    turns = begins.sum(axis=1)
    count = np.minimum(turns, MOST_TURNS)
    one = below(bits[:, 0], turns - count + 1)
    number = np.cumsum(begins, axis=1)
    # The end of a turn is the beginning of the next, or of what is no more the text's.
    edges = np.stack([_first(number > (one + k)[:, None], sizes) for k in range(MOST_TURNS + 1)], 1)
    first, size = edges[:, :-1], np.diff(edges, axis=1)
    roles = np.take_along_axis(text, np.minimum(first, text.shape[1] - 1), 1) & RESPONSE > 0

    begins = (other & BEGINS_TURN > 0) & (np.arange(other.shape[1]) < other_sizes[:, None])
    number = np.cumsum(begins, axis=1)
    begin = np.where(begins.any(axis=1), _first(number > 0, other_sizes), 0)
    end = _first(number > 1, other_sizes)
    fake = (bits[:, 1] >> 31 > 0) & (end > begin) & (count > 1)
    which = below(bits[:, 1] << np.uint32(1), count)  # by the bits behind the one that is spent
    of = np.flatnonzero(fake), which[fake]
    spare = sizes - size.sum(axis=1) + np.take_along_axis(size, which[:, None], 1)[:, 0]
    first[of] = text.shape[1] + begin[fake]
    size[of] = np.minimum(end - begin, spare)[fake]
    return Turns(first, size, roles * (size > 0), fake.astype(np.int64))


def _first(there: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The first column of each row that is true, [E]; `otherwise` where none is."""
    return np.where(there.any(axis=1), there.argmax(axis=1), otherwise)
