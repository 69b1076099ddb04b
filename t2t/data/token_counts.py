"""How often each token stands in the text that a run trains on."""

from collections.abc import Sequence

import numpy as np

# Read of each store at most, in evenly spaced pieces: counts of it are good to a percent from 10,000 on.
MOST, PIECE = 16 * 2**20, 2**16


def token_counts(stores: Sequence, size: int, most: int = MOST, piece: int = PIECE) -> bytes:
    """Returns counts float64 [size] as bytes, of all stores together; a large one is sampled and the
    counts scaled up.

    stores: of t2t.data.token_store. size: of the vocabulary.
    """
    counts = np.zeros(size)
    for store in stores:
        pieces = -(-store.num_tokens // piece)
        read = min(pieces, max(1, most // piece))
        own, seen = np.zeros(size), 0
        for number in np.arange(read) * pieces // read:
            begin = int(number) * piece
            tokens = store.read_flat(begin, min(begin + piece, store.num_tokens))
            own += np.bincount(tokens, minlength=size)[:size]
            seen += len(tokens)
        counts += own * (store.num_tokens / max(seen, 1))
    return counts.tobytes()
