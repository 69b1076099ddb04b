"""How an input stands before a model: what its stacks want around the tokens, and room behind them."""

from collections.abc import Sequence

import numpy as np

from t2t.data.vocabulary import Vocabulary
from t2t.decoding.batches import padded
from t2t.errors import UserError
from t2t.models.architecture import DECODER, ENCODER, ENCODER_DECODER, Architecture


def input_row(arch: Architecture, vocabulary: Vocabulary, ids: np.ndarray) -> np.ndarray:
    """The tokens of an input, int32: with their end of sequence for an encoder-decoder; after what
    stands before every text for a decoder alone, which goes on with them; as they are for an encoder
    alone, whose answers stand at masks (see cloze.py)."""
    ends = {ENCODER_DECODER: ([], [vocabulary.eos_id]), DECODER: ([vocabulary.start_id], [])}
    before, after = ends.get(arch.stacks, ([], []))
    return np.concatenate([before, ids, after]).astype(np.int32)


def padded_inputs(arch: Architecture, rows: Sequence[np.ndarray], length: int) -> dict:
    """Rows of `input_row` as {tokens, segments} [B, length], padded where `cache.begin` wants it."""
    return padded(rows, length, before=arch.stacks == DECODER)


def check_writes(arch: Architecture) -> None:
    """Raises UserError for a model that writes nothing."""
    if arch.stacks == ENCODER:
        raise UserError(
            f"the model is {ENCODER}, which writes no text: it tells what stands at a mask "
            "(t2t eval with a task that has choices)"
        )


def check_room(arch: Architecture, rows: Sequence[np.ndarray], longest: Sequence[int]) -> None:
    """Raises UserError where a decoder alone has no position for all of a row and its `longest`
    further tokens, the last of which is not read again."""
    room = arch.positions if arch.stacks == DECODER else None
    for number, (row, more) in enumerate(zip(rows, longest, strict=True)):
        if room is not None and len(row) + more - 1 > room:
            raise UserError(
                f"input {number}: its {len(row)} tokens and an output of {more} are more than the "
                f"model's {room} positions; give less text, or allow fewer tokens"
            )
