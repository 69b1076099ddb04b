"""How [CLS] and [SEP] frame what an encoder alone reads.

    [CLS], text, [SEP]              or, where [CLS] stands last (XLNet),    text, [SEP], [CLS]
    [CLS], text, [SEP], text, [SEP]                                  text, [SEP], text, [SEP], [CLS]

RoBERTa has two [SEP]s between texts (`Vocabulary.separators`). Types: a first text and its [SEP] are of
type 0, a second one and its [SEP] of type 1, a [CLS] that stands last of type 2 (XLNet's released code).
RoBERTa tells texts apart by the two [SEP]s alone. Where [CLS] stands first and the model has no types, or
is never shown two texts, none are given: all tokens are of type 0.
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


def text_sizes(texts: Sequence[tuple[np.ndarray, ...]]) -> np.ndarray:
    """The tokens of first and of second texts [2, E]; -1: there is no second."""
    return np.array([[*map(len, of), -1][:2] for of in texts], np.int64).reshape(-1, 2).T


def framed_sizes(first: np.ndarray, second: np.ndarray, separators: int) -> np.ndarray:
    """How many tokens texts of these lengths [E] are in their frame; second -1: there is none."""
    return first + ADDED + np.where(second < 0, 0, second + separators)


def fitting(
    first: np.ndarray, second: np.ndarray, separators: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many tokens of texts of these lengths [E] are kept so that `length` hold their frame.

    The longer of two is cut until they are alike, then both, as Hugging Face's tokenizers do
    (truncation="longest_first"); second -1: there is none.
    """
    alone = second < 0
    room = length - ADDED - np.where(alone, 0, separators)
    low, high = np.minimum(first, second), np.maximum(first, second)
    high = np.where(low + high > room, np.maximum(low, room - low), high)
    both = low + high > room
    low, high = np.where(both, room // 2, low), np.where(both, room - room // 2, high)
    longer = first > second
    return (
        np.where(alone, np.minimum(first, room), np.where(longer, high, low)),
        np.where(alone, -1, np.where(longer, low, high)),
    )


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
    seconds: np.ndarray | None = None,
    separators: int = 1,
    types: bool = False,
) -> Framed:
    """Frames texts of these sizes [E], which stand one behind the other, and lays them into rows.

    last: whether [CLS] stands last. Row r [B] takes the next `examples_in_row[r]` of the texts.
    seconds [E]: sizes of second texts, each of which stands behind its first; -1: there is none.
    types: whether there are types also where [CLS] stands first.
    """
    seconds = np.full_like(sizes, -1) if seconds is None else seconds
    of_second = np.maximum(seconds, 0)
    before = 0 if last else 1
    whole = framed_sizes(sizes, seconds, separators)
    summary = whole - 1 if last else np.zeros_like(whole)
    begin = np.cumsum(whole) - whole
    flat = np.full(int(whole.sum()), vocabulary.sep_id, np.int32)
    flat[begin + summary] = vocabulary.cls_id
    at = np.cumsum(sizes + of_second) - (sizes + of_second)
    second = begin + before + sizes + separators
    put(flat, begin + before, texts, at, sizes)
    put(flat, second, texts, at + sizes, of_second)
    side = RowLayout(examples_in_row, whole, length)
    encoder = {"tokens": side.lay(flat, int(vocabulary.pad_id))}
    if last or types:
        told = np.zeros_like(flat)
        if last or separators == 1:
            second = np.where(seconds < 0, begin + whole, second)
            told[np.arange(len(flat)) >= np.repeat(second, whole)] = 1
        if last:
            told[begin + summary] = LAST_TYPE
        encoder["types"] = side.lay(told, 0)
    encoder |= side.segments_and_positions()
    return Framed(encoder, side.offsets + before, side.offsets + summary)


def frame_each(
    vocabulary,
    last: bool,
    texts: Sequence[tuple[np.ndarray, ...]],
    length: int,
    types: bool = False,
) -> Framed:
    """As `lay_framed`, one text or two a row."""
    first, second = text_sizes(texts)
    return lay_framed(
        vocabulary,
        last,
        np.concatenate([text for of in texts for text in of]),
        first,
        np.ones(len(texts), np.int64),
        length,
        second,
        vocabulary.separators,
        types,
    )
