"""Where an answer stands in its context, on its way to the tokens: bits beside their ids.

A context carries the characters of its answer. In the token store (see span_marks, whose low bits
hold the id here too) the answer's first token is marked, and its last: those that have a character of
it, so that an answer that begins or ends inside a token takes the whole of that.
"""

import numpy as np

BEGINS, ENDS = 1 << 28, 1 << 29


class Answered(str):
    """A context with where its answer stands: characters [begin, end)."""

    answer: tuple[int, int] = (0, 0)

    def __reduce__(self):
        return answered, (str(self), self.answer)


def answered(text: str, answer: tuple[int, int]) -> Answered:
    """Returns the context with the place of its answer."""
    result = Answered(text)
    result.answer = answer
    return result


def token_span(offsets: np.ndarray, begin: int, end: int) -> tuple[int, int] | None:
    """Returns the first and the last of the tokens, characters offsets [T, 2], with one of [begin, end);
    None: no token has any."""
    (inside,) = np.nonzero((offsets[:, 0] < end) & (offsets[:, 1] > begin))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


def answer_marks(text: str, offsets: np.ndarray) -> np.ndarray:
    """Returns the bits, int32 [T], of a text's tokens, which have its characters offsets [T, 2]; none of
    a text without an answer."""
    marks = np.zeros(len(offsets), np.int32)
    found = token_span(offsets, *text.answer) if isinstance(text, Answered) else None
    if found is not None:
        marks[found[0]] |= BEGINS
        marks[found[1]] |= ENDS
    return marks
