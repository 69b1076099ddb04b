"""What an external segmenter says of a text, on its way to the tokens: bits beside their ids.

A document of `Jsonl(spans=...)` carries spans of characters: phrases and entities, and of a dialogue its
turns, queries and responses. In the token store each token's id stands in the low bits; above it whether
the token goes on with the phrase, or the entity, of the token before, whether its word begins with a
capital letter (which a vocabulary in lower case does not keep), whether a turn begins with it, and whether
it is of a response.
"""

from typing import Any

import numpy as np

BEGINS_TURN, RESPONSE, IN_PHRASE, IN_ENTITY, CAPITAL = (1 << bit for bit in range(26, 31))
ID_BITS = BEGINS_TURN - 1
_UNITS = (IN_PHRASE, IN_ENTITY)
_TURNS = (BEGINS_TURN, BEGINS_TURN | RESPONSE)
_KINDS = dict(zip(("phrase", "entity", "query", "response"), _UNITS + _TURNS, strict=True))
_NAMES = ", ".join(f'"{kind}"' for kind in _KINDS)


class Segmented(str):
    """A document's text with its spans, (begin, end, bit) each; whoever wants a text has one."""

    spans: tuple[tuple[int, int, int], ...] = ()

    def __reduce__(self):
        return segmented, (str(self), self.spans)


def segmented(text: str, spans: tuple[tuple[int, int, int], ...]) -> Segmented:
    """Returns the text with its spans."""
    result = Segmented(text)
    result.spans = spans
    return result


def read_spans(text: str, value: Any, field: str) -> Segmented:
    """Returns a text with the spans that a JSON value lists: [begin, end, kind] each.

    Raises: ValueError that says which is wrong.
    """
    if not isinstance(value, list):
        raise ValueError(f"field {field!r} is no list of spans")
    spans = []
    for one in value:
        right = isinstance(one, list) and len(one) == 3 and one[2] in _KINDS
        if not right or not all(type(x) is int for x in one[:2]):
            raise ValueError(f"field {field!r}: {one!r} is not [begin, end, one of {_NAMES}]")
        if not 0 <= one[0] < one[1] <= len(text):
            raise ValueError(
                f"field {field!r}: {one!r} is no part of a text of {len(text)} characters"
            )
        spans.append((one[0], one[1], _KINDS[one[2]]))
    return segmented(text, tuple(spans))


def token_marks(text: str, offsets: np.ndarray) -> np.ndarray:
    """Returns the bits, int32 [T], of a text's tokens, which have its characters offsets [T, 2]."""
    starts = offsets[:, 0]
    marks = np.zeros(len(starts), np.int32)
    if not len(starts):
        return marks
    for bit in _UNITS:
        of = _span_of(text, (bit,))[starts]
        marks[1:] |= np.where((of[1:] > 0) & (of[1:] == of[:-1]), bit, 0).astype(np.int32)
    # By its last character, since a token may open with the space before a turn.
    of = _span_of(text, _TURNS)[np.maximum(offsets[:, 1] - 1, 0)]
    marks |= np.where((of > 0) & (of != np.append(0, of[:-1])), BEGINS_TURN, 0).astype(np.int32)
    kinds = np.array([0, *(kind for _, _, kind in getattr(text, "spans", ()))], np.int32)
    marks |= kinds[of] & RESPONSE
    # A token that opens with the space before its word (byte-level BPE) has that space too.
    opens = (text[begin:end].lstrip()[:1] for begin, end in offsets.tolist())
    upper = np.fromiter((first.isupper() for first in opens), bool, len(starts))
    return marks | np.where(upper, CAPITAL, 0).astype(np.int32)


def _span_of(text: str, kinds: tuple[int, ...]) -> np.ndarray:
    """The number, from 1, of the span of some kinds that each character is in, and 0: int32 [C + 1]."""
    number = np.zeros(len(text) + 1, np.int32)
    for i, (begin, end, kind) in enumerate(getattr(text, "spans", ()), start=1):
        if kind in kinds:
            number[begin:end] = i
    return number
