"""Segments of examples behind one [CLS], a [SEP] behind each."""

import numpy as np


def lay_segments(
    text: np.ndarray, first: np.ndarray, size: np.ndarray, vocabulary
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lays segments text[e, first[e, k] : first[e, k] + size[e, k]], [E, K] of them, one behind the other.

    Those of size 0 are left out. Returns rows int32 [E, W] with the marks of their tokens, their lengths
    [E], each token's segment, whose [SEP] is of it too, and its place in the text (-1: none), [E, W].
    """
    length = 1 + size.sum(axis=1) + (size > 0).sum(axis=1)
    place = np.arange(int(length.max(initial=1)))
    rows = np.full((len(size), len(place)), vocabulary.sep_id, np.int32)
    rows[:, 0] = vocabulary.cls_id
    segment, source = np.zeros(rows.shape, np.int32), np.full(rows.shape, -1)
    begin = np.ones(len(size), np.int64)
    for k in range(size.shape[1]):
        here = (place >= begin[:, None]) & (place < (begin + size[:, k])[:, None])
        source = np.where(here, first[:, k, None] + place - begin[:, None], source)
        segment += (place >= begin[:, None]) * (k > 0) * (size[:, k] > 0)[:, None]
        begin = begin + size[:, k] + (size[:, k] > 0)
    found = np.take_along_axis(text, np.maximum(source, 0), axis=1)
    return np.where(source >= 0, found, rows).astype(np.int32), length, segment, source
