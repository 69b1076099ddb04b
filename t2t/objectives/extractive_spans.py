"""Questions over contexts for an encoder alone: where in the row does the answer begin and end?

    encoder  [CLS], question, [SEP], context or a window of it, [SEP]; types 0 up to the first [SEP]
    targets  [B, 2]: the places of the answer's first and last token; [CLS]'s where it is not all there

As BERT's run_squad.py (arXiv:1810.04805, section 4.2), for whole batches. In a token store the tokens
of a context carry where its answer begins and ends (t2t.data.answer_marks).
"""

from typing import NamedTuple

import numpy as np

from t2t.data.answer_marks import BEGINS, ENDS
from t2t.data.span_marks import ID_BITS
from t2t.data.vocabulary import require_roles
from t2t.objectives.extractive_config import ADDED, ExtractiveSpans
from t2t.objectives.framing import added
from t2t.objectives.row_layout import RowLayout, put


class Windows(NamedTuple):
    """The rows that questions over contexts become, those of one question in a row: int64 [W] each."""

    pair: np.ndarray  # which question
    question: np.ndarray  # how many of its tokens are shown
    begin: np.ndarray  # where in its context the window begins
    size: np.ndarray  # how many tokens of the context it has


def lengths(cfg: ExtractiveSpans) -> tuple[int, int]:
    """Returns (tokens, predictions) of a row: a start and an end."""
    return cfg.length, 2


def always_full(cfg: ExtractiveSpans) -> bool:
    """Whether rows have no padding: never, contexts differ in length."""
    return False


def check_vocabulary(cfg: ExtractiveSpans, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has [CLS] and [SEP]."""
    require_roles(vocabulary, ("cls", "sep"), where)


def windows(cfg: ExtractiveSpans, questions: np.ndarray, contexts: np.ndarray) -> Windows:
    """Cuts contexts [P] of these lengths, beside questions of those, into windows: each as long as
    there is room, `stride` behind the one before, until one reaches the end."""
    questions = np.minimum(questions, cfg.question_length)
    room = cfg.length - ADDED - questions
    count = 1 + -(-np.maximum(contexts - room, 0) // cfg.stride)
    pair = np.repeat(np.arange(len(questions)), count)
    begin = (np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count)) * cfg.stride
    size = np.minimum(room[pair], contexts[pair] - begin)
    return Windows(pair, questions[pair], begin, size)


def context_begins(questions: np.ndarray) -> np.ndarray:
    """Returns where in a row the context begins, behind a question of so many tokens."""
    return questions + added(1)


def window_of(begin: np.ndarray, size: np.ndarray, tokens: int) -> np.ndarray:
    """Returns in which of a context's windows [W] each of its tokens has the most around it on the
    side where it has less ([tokens]; run_squad.py's "max context"; the longer window, then the
    first, where that is equal)."""
    left = np.arange(tokens) - begin[:, None]
    right = size[:, None] - 1 - left
    least = np.minimum(left, right)
    around = np.where(least >= 0, least + 0.01 * size[:, None], -np.inf)
    return np.argmax(around, axis=0)


def make_pairs_batch(
    cfg: ExtractiveSpans,
    vocabulary,
    tokens: np.ndarray,
    questions: tuple[np.ndarray, np.ndarray],
    contexts: tuple[np.ndarray, np.ndarray],
    examples_in_row: np.ndarray,
) -> dict:
    """Lays windows into rows, at most one each; returns a Batch without `sample`.

    questions, contexts: (starts, lengths), [E] each, places in the flat `tokens` with their marks.
    """
    whole = questions[1] + contexts[1] + ADDED
    begin = np.cumsum(whole) - whole
    first = begin + context_begins(questions[1])
    flat = np.full(int(whole.sum()), vocabulary.sep_id, np.int32)
    flat[begin] = vocabulary.cls_id
    marked = tokens.astype(np.int32, copy=False)
    put(flat, begin + 1, marked, *questions)
    put(flat, first, marked, *contexts)
    types = np.arange(len(flat)) >= np.repeat(first, whole)
    side = RowLayout(examples_in_row, whole, cfg.length)
    places = np.stack([_marked(flat, bit, begin) for bit in (BEGINS, ENDS)], axis=1)
    targets = np.zeros((len(examples_in_row), 2), np.int32)
    targets[examples_in_row > 0] = np.where((places > 0).all(axis=1, keepdims=True), places, 0)
    weights = np.repeat((examples_in_row > 0)[:, None], 2, axis=1)
    return {
        "encoder": {
            "tokens": side.lay(flat & ID_BITS, int(vocabulary.pad_id)),
            "types": side.lay(types.astype(np.int32), 0),
            **side.segments_and_positions(),
        },
        "targets": targets,
        "weights": weights.astype(np.float32),
    }


def _marked(flat: np.ndarray, bit: int, begin: np.ndarray) -> np.ndarray:
    """Returns where in each example, which begin at `begin` [E], the token with the bit stands; 0: it
    has none."""
    at = np.flatnonzero(flat & bit)
    of = np.searchsorted(begin, at, side="right") - 1
    places = np.zeros(len(begin), np.int64)
    places[of] = at - begin[of]
    return places
