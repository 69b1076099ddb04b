"""The second pass of a preparation: staged pieces, put together to the arrays of a token store."""

from collections.abc import Callable

import numpy as np

from t2t.data import staging, token_store
from t2t.data.prepare_workers import Counts, Stopped, Workers
from t2t.data.staging import Piece
from t2t.data.token_store import PART


def _write_part(
    job,
    counts: Counts,
    stopped: Callable[[], bool],
    part: int,
    slices: list[tuple[Piece, int, int]],
    begin_here: frozenset[Piece],
) -> tuple[dict, dict[Piece, np.ndarray]]:
    """Puts part `part` together from slices (piece, begin, end) of staged pieces.

    Returns its manifest entry, and the document lengths of the pieces that `begin_here`.
    """
    tokens, lengths = [], {}
    for piece, begin, end in slices:
        if stopped():
            raise Stopped
        piece_tokens, piece_lengths = staging.read_piece(job.path, piece, job.dtype)
        tokens.append(piece_tokens[begin:end])
        if piece in begin_here:
            lengths[piece] = piece_lengths
    return token_store.write_part(job.path, part, np.concatenate(tokens)), lengths


def put_together(path: str, dtype: np.dtype, pieces: list[Piece], workers: Workers) -> dict:
    """Writes the arrays of the store from all `pieces`, in order.

    Returns what the manifest says of them: dtype, num_tokens, num_documents, parts, offsets.
    """
    starts = np.concatenate([[0], np.cumsum([piece.tokens for piece in pieces], dtype=np.int64)])
    num_tokens = int(starts[-1])
    token_store.create_tokens(path, num_tokens, dtype)
    futures = []
    for part in range(token_store.part_count(num_tokens)):
        begin, end = part * PART, min((part + 1) * PART, num_tokens)
        low = int(np.searchsorted(starts[1:], begin, side="right"))
        high = int(np.searchsorted(starts[:-1], end, side="left"))
        slices = [
            (
                pieces[i],
                max(begin - int(starts[i]), 0),
                min(end - int(starts[i]), pieces[i].tokens),
            )
            for i in range(low, high)
        ]
        here = frozenset(pieces[i] for i in range(low, high) if starts[i] >= begin)
        # Copying a token costs about a tenth of encoding a byte of text.
        futures.append(workers.submit((end - begin) // 10, _write_part, part, slices, here))
    workers.drain()
    entries, lengths = [], {}
    for future in futures:
        entry, of_part = future.result()
        entries.append(entry)
        lengths |= of_part
    offsets = np.cumsum(
        np.concatenate([[0], *(lengths[piece] for piece in pieces if piece.tokens)]), dtype=np.int64
    )
    return {
        "dtype": dtype.name,
        "num_tokens": num_tokens,
        "num_documents": offsets.size - 1,
        "parts": entries,
        "offsets": token_store.write_offsets(path, offsets),
    }
