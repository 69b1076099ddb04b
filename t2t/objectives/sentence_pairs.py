"""Two segments of an example and whether they are what they seem: next sentence, sentence order."""

from typing import NamedTuple

import numpy as np

from t2t.data.order import below
from t2t.data.vocabulary import BEGINS_WORD, ENDS_SENTENCE


class Segments(NamedTuple):
    """Where the two segments stand in [text | other text]: places and sizes, int64 [E] each.

    label 0: they follow each other there; 1: they do not.
    """

    first: np.ndarray
    first_size: np.ndarray
    second: np.ndarray
    second_size: np.ndarray
    label: np.ndarray


def sentence_begins(text: np.ndarray, sizes: np.ndarray, marks: np.ndarray, eos: int) -> np.ndarray:
    """Returns where a sentence, or a document, begins behind the first token: bool [E, W]."""
    of = marks[text]
    begins = np.zeros(text.shape, bool)
    ended = (of[:, :-1] & ENDS_SENTENCE > 0) & (of[:, 1:] & BEGINS_WORD > 0)
    begins[:, 1:] = ended | (text[:, :-1] == eos)
    return begins & (np.arange(text.shape[1]) < sizes[:, None])


def cut(begins: np.ndarray, sizes: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Returns where each text is cut in two, [E]: a sentence's beginning, all equally likely.

    In the middle where no sentence begins.
    """
    count = begins.sum(axis=1)
    pick = below(bits, np.maximum(count, 1))
    at = np.argmax(np.cumsum(begins, axis=1) > pick[:, None], axis=1)
    return np.where(count > 0, at, sizes // 2)


def sentence_order(begins: np.ndarray, sizes: np.ndarray, bits: np.ndarray) -> Segments:
    """Cuts texts in two; half of the time the parts change places (ALBERT). bits uint32 [E, 2]."""
    at = cut(begins, sizes, bits[:, 0])
    swapped = bits[:, 1] >> 31 > 0
    none = np.zeros_like(at)
    return Segments(
        np.where(swapped, at, none),
        np.where(swapped, sizes - at, at),
        np.where(swapped, none, at),
        np.where(swapped, at, sizes - at),
        swapped.astype(np.int64),
    )


def next_sentence(
    begins: np.ndarray, sizes: np.ndarray, bits: np.ndarray, other: int, other_sizes: np.ndarray
) -> Segments:
    """Cuts texts in two; half of the time the second part gives way to another document's text.

    That stands from column `other` on, other_sizes [E] tokens of it; where it is longer than the part
    it replaces it is cut (BERT). bits uint32 [E, 2].
    """
    at = cut(begins, sizes, bits[:, 0])
    replaced = (bits[:, 1] >> 31 > 0) & (other_sizes > 0)
    return Segments(
        np.zeros_like(at),
        at,
        np.where(replaced, other, at),
        np.where(replaced, np.minimum(other_sizes, sizes - at), sizes - at),
        replaced.astype(np.int64),
    )
