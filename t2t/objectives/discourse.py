"""The discourse task's two sentences: that before a marker and that behind it, which lacks the marker."""

from typing import NamedTuple

import numpy as np

from t2t.data.span_marks import ID_BITS
from t2t.objectives.sentence_pairs import sentence_begins


class Marked(NamedTuple):
    """Text around each example's marker, int64 [E] each; number -1: there is none."""

    starts: np.ndarray  # where it begins among the tokens read
    before: np.ndarray  # tokens before the marker
    size: np.ndarray  # of the marker
    behind: np.ndarray  # behind it
    number: np.ndarray  # which one it is


def two_sentences(
    marked: Marked, tokens: np.ndarray, marks: np.ndarray, eos: int, room: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the sentences stand in `tokens` (flat, with marks) and their sizes, [E, 2] each.

    Together they have at most `room` [E] tokens: the first is cut at its beginning, the second at its end.
    """
    resumes = marked.before + marked.size
    end = resumes + marked.behind
    column = np.arange(int(end.max(initial=1)))
    text = tokens.take(marked.starts[:, None] + column, mode="clip") & ID_BITS
    begins = sentence_begins(text, end, marks, eos)
    earlier = begins & (column < marked.before[:, None])
    first = np.where(earlier, column, 0).max(axis=1, initial=0)
    later = begins & (column > resumes[:, None])
    end = np.where(later, column, end[:, None]).min(axis=1, initial=len(column))
    one, two = marked.before - first, end - resumes
    one = np.minimum(one, np.maximum(room // 2, room - two))
    two = np.minimum(two, room - one)
    begin = marked.starts[:, None] + np.stack([marked.before - one, resumes], axis=1)
    return begin, np.stack([one, two], axis=1)
