"""How [CLS] and [SEP] frame what an encoder alone reads.

    [CLS], text, [SEP]      or, where [CLS] stands last (XLNet),      text, [SEP], [CLS]

A [CLS] that stands last is of segment type 2, the text and its [SEP] of type 0 (XLNet's released code).
Where it stands first there are no types: all tokens are of type 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2t.objectives.row_layout import RowLayout, put

LAST_TYPE = 2  # of a [CLS] that stands last


def added(segments: int) -> int:
    """How many tokens frame so many segments: [CLS], and a [SEP] behind each."""
    return 1 + segments


ADDED = added(1)  # of one text


class Framed(NamedTuple):
    """Texts in their frames, laid into rows."""

    encoder: dict[str, np.ndarray]  # tokens, segments, positions, types?: int32 [B, L]
    begins: np.ndarray  # where in its row each text begins, behind what frames it: [E]
    summaries: np.ndarray  # where in its row each text's [CLS] stands: [E]


def lay_framed(
    vocabulary,
    last: bool,
    texts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    length: int,
) -> Framed:
    """Frames texts of these sizes [E], which stand one behind the other, and lays them into rows.

    last: whether [CLS] stands last. Row r [B] takes the next `examples_in_row[r]` of the texts.
    """
    before = 0 if last else 1
    whole = sizes + ADDED
    summary = whole - 1 if last else np.zeros_like(whole)
    begin = np.cumsum(whole) - whole
    flat = np.full(int(whole.sum()), vocabulary.sep_id, np.int32)
    flat[begin + summary] = vocabulary.cls_id
    put(flat, begin + before, texts, np.cumsum(sizes) - sizes, sizes)
    side = RowLayout(examples_in_row, whole, length)
    encoder = {"tokens": side.lay(flat, int(vocabulary.pad_id))}
    if last:
        types = np.zeros_like(flat)
        types[begin + summary] = LAST_TYPE
        encoder["types"] = side.lay(types, 0)
    encoder |= side.segments_and_positions()
    return Framed(encoder, side.offsets + before, side.offsets + summary)


def frame_each(vocabulary, last: bool, texts: Sequence[np.ndarray], length: int) -> Framed:
    """As `lay_framed`, one text a row."""
    sizes = np.array([len(text) for text in texts], np.int64)
    return lay_framed(
        vocabulary, last, np.concatenate(texts), sizes, np.ones(len(texts), np.int64), length
    )


def unframed(row: np.ndarray, last: bool) -> np.ndarray:
    """Returns the text in the frame [T]."""
    return row[:-ADDED] if last else row[1:-1]
