"""Text beside the examples' own: of another document, behind their end, around a discourse marker.

corpus [E]: which of the `stores` an example is of. own: (starts, lengths), [E] each.
"""

from collections.abc import Sequence

import numpy as np

from t2t.data.marker_places import MarkerPlaces, around
from t2t.data.order import below

Own = tuple[np.ndarray, np.ndarray]


def other_documents(
    stores: Sequence,
    documents: Sequence[tuple[int, int]],
    corpus: np.ndarray,
    own: Own,
    bits: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws for each example as many tokens of another document, all documents alike likely.

    documents: [first, last) of each store. bits: uint32 [E, 2]. Returns (places in the store, lengths),
    [E] each; a short document gives fewer.
    """
    starts, lengths = own
    places, sizes = np.zeros_like(starts), np.zeros_like(lengths)
    for c in np.unique(corpus).tolist():
        of = np.flatnonzero(corpus == c)
        first, last = documents[c]
        offsets = np.asarray(stores[c].offsets)
        mine = np.searchsorted(offsets, starts[of], side="right") - 1
        other = first + below(bits[of, 0], last - first - 1)
        other += other >= mine
        begin, end = offsets[other], offsets[other + 1]
        spare = np.maximum(end - begin - lengths[of], 0)
        places[of] = begin + below(bits[of, 1], spare + 1)
        sizes[of] = np.minimum(lengths[of], end - places[of])
    return places, sizes


def behind(
    stores: Sequence, corpus: np.ndarray, own: Own
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As many tokens as an example has, from its end on, as far as its last token's document goes.

    Returns (places in the store, lengths, where in the example that document begins), [E] each.
    """
    starts, lengths = own
    places = starts + lengths
    sizes, begins = np.zeros_like(places), np.zeros_like(places)
    for c in np.unique(corpus).tolist():
        of = np.flatnonzero(corpus == c)
        offsets = np.asarray(stores[c].offsets)
        mine = np.searchsorted(offsets, places[of] - 1, side="right") - 1
        sizes[of] = np.minimum(lengths[of], offsets[mine + 1] - places[of])
        begins[of] = np.maximum(offsets[mine] - starts[of], 0)
    return places, sizes, begins


def around_markers(
    stores: Sequence,
    markers: Sequence[MarkerPlaces],
    corpus: np.ndarray,
    lengths: np.ndarray,
    bits: np.ndarray,
    asked: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Draws a place of its corpus with a discourse marker for each example that is asked (bool [E]).

    bits: uint32 [E]. Returns (where the text begins in the store, tokens before the marker, of it and
    behind it, which one it is), [E] each; nothing, of marker -1, for the others.
    """
    found = np.zeros((5, len(corpus)), np.int64)
    found[4] = -1
    for c in np.unique(corpus[asked]).tolist():
        of = np.flatnonzero(asked & (corpus == c))
        offsets = np.asarray(stores[c].offsets)
        found[:, of] = around(markers[c], offsets, bits[of], lengths[of])
    return tuple(found)
