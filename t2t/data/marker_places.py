"""Where a store's sentences begin with a discourse marker: token ids compared at each sentence's beginning.

One pass over the text when a run is opened; an example of the discourse task then draws one of the places.
"""

from typing import NamedTuple

import numpy as np

from t2t.data.order import below
from t2t.data.span_marks import CAPITAL, ID_BITS
from t2t.data.token_store import TEXTS
from t2t.data.vocabulary import Vocabulary
from t2t.objectives.sentence_pairs import sentence_begins

# Read of each store at most, in evenly spaced pieces: in seconds, 50,000 places of books.
MOST, PIECE = 2**26, 2**20


class MarkerPlaces(NamedTuple):
    """Places [M] in a store, ascending, each within its document, with text before and behind."""

    at: np.ndarray  # int64: the marker's first token
    size: np.ndarray  # int64: tokens of the marker, its comma among them
    number: np.ndarray  # int64: which of the markers

    def describe(self) -> str:
        """How many there are, and what a predictor without the text loses on them."""
        counts = np.bincount(self.number)
        share = counts[counts > 0] / max(len(self.number), 1)
        return (
            f"{len(self.at):,} sentences begin with a discourse marker, {len(share)} different ones, "
            f"whose entropy is {-(share * np.log(share)).sum():.3f} nats"
        )


def marker_places(
    store, documents: tuple[int, int], vocabulary: Vocabulary, most: int = MOST, piece: int = PIECE
) -> MarkerPlaces:
    """Finds `vocabulary.markers` in documents [first, last) of a `marked` store; none in one of pairs.

    The marker's first word has a capital letter; of two that begin alike the longer one is there.
    """
    if store.kind != TEXTS:
        return MarkerPlaces(*np.zeros((3, 0), np.int64))
    first, last = documents
    offsets = np.asarray(store.offsets[first : last + 1])
    begin, end = int(offsets[0]), int(offsets[-1])
    pieces = -(-(end - begin) // piece)
    read = min(pieces, max(1, most // piece))
    found = []
    for number in np.arange(read) * pieces // max(read, 1):
        own = begin + int(number) * piece
        found.append(_of_piece(store, vocabulary, own, min(own + piece, end), begin, end))
    at, size, number = (np.concatenate([one[k] for one in found]) for k in range(3))
    document = np.searchsorted(offsets, at, side="right")
    inside = (at > offsets[document - 1]) & (at + size < offsets[document])
    return MarkerPlaces(at[inside], size[inside], number[inside])


def _of_piece(store, vocabulary, own, until, begin, end):
    """(at, size, number) of the markers that begin in tokens own .. until; others stand around."""
    longest = max(map(len, vocabulary.markers), default=0)
    first = max(own - 1, begin)
    tokens = store.read(np.array([first]), min(until + longest, end) - first, marks=True)
    marks = np.frombuffer(vocabulary.marks, np.uint8)
    ids = tokens & ID_BITS
    begins = sentence_begins(ids, np.array([ids.shape[1]]), marks, vocabulary.eos_id)[0]
    begins &= tokens[0] & CAPITAL > 0
    at = np.flatnonzero(begins[: until - first])
    at = at[at + first >= own]
    size, number = np.zeros((2, len(at)), np.int64)
    ids = np.append(ids[0], np.full(longest, -1))
    for which in sorted(range(len(vocabulary.markers)), key=lambda i: len(vocabulary.markers[i])):
        marker = vocabulary.markers[which]
        if marker:
            here = np.flatnonzero(ids[at] == marker[0])
            here = here[(ids[at[here, None] + np.arange(len(marker))] == marker).all(axis=1)]
            size[here], number[here] = len(marker), which
    there = size > 0
    return at[there] + first, size[there], number[there]


def around(
    places: MarkerPlaces, offsets: np.ndarray, bits: np.ndarray, room: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Draws a marker for each example, with as many tokens of its document as `room` [E] on both sides.

    bits uint32 [E]. Returns (begin in the store, tokens before the marker, of it, behind it, which one),
    int64 [E] each; where there is no place to draw no tokens, of marker -1.
    """
    if not len(places.at):
        none = np.zeros(len(room), np.int64)
        return none, none, none, none, none - 1
    which = below(bits, len(places.at))
    at, size = places.at[which], places.size[which]
    document = np.searchsorted(offsets, at, side="right")
    before = np.minimum(room, at - offsets[document - 1])
    behind = np.minimum(room, offsets[document] - at - size)
    return at - before, before, size, behind, places.number[which]
