"""Lays examples of known lengths into the rows of a batch, left to right, with padding behind."""

import numpy as np


class RowLayout:
    """Places of examples in rows of `length`: row r holds the next `examples_in_row[r]` of them.

    `filled` [B, length] bool is True where a token stands.
    """

    def __init__(self, examples_in_row: np.ndarray, lengths: np.ndarray, length: int):
        if int(np.sum(examples_in_row)) != len(lengths):
            raise ValueError(f"{np.sum(examples_in_row)} examples in rows, {len(lengths)} given")
        ends = np.concatenate([[0], np.cumsum(lengths)])
        last = np.cumsum(examples_in_row)
        used = ends[last] - ends[last - examples_in_row]
        if used.size and int(used.max()) > length:
            raise ValueError(f"a row of {used.max()} tokens, over {length}")
        self.filled = np.arange(length) < used[:, None]
        self._lengths = lengths
        first = np.repeat(last - examples_in_row, examples_in_row)
        self._segment = np.arange(1, len(lengths) + 1) - first

    def lay(self, flat: np.ndarray, padding: int) -> np.ndarray:
        """Tokens of all examples, one behind the other -> int32 [B, length]."""
        # Rows fill from the left in the order of the examples: the mask's own order is theirs.
        rows = np.full(self.filled.shape, padding, np.int32)
        rows[self.filled] = flat
        return rows

    def segments_and_positions(self) -> dict[str, np.ndarray]:
        """Returns `segments` (1, 2, ... in a row; 0: padding), `positions`: int32 [B, length]."""
        lengths = self._lengths
        begin = np.cumsum(lengths) - lengths
        position = np.arange(int(lengths.sum())) - np.repeat(begin, lengths)
        segments = np.repeat(self._segment, lengths)
        return {"segments": self.lay(segments, 0), "positions": self.lay(position, 0)}


def lay_batch(
    vocabulary,
    encoder: np.ndarray,
    encoder_lengths: np.ndarray,
    targets: np.ndarray,
    targets_lengths: np.ndarray,
    examples_in_row: np.ndarray,
    lengths: tuple[int, int],
    full: bool = False,
) -> dict:
    """Returns a Batch without `sample` from the encoder tokens and targets of examples, both flat.

    Row r [B] takes the next `examples_in_row[r]` of the E examples. The decoder reads the targets
    one place later, from 0 at each example's beginning. lengths: (inputs, targets) of the batch.
    full: every row that has an example has one that fills it; then there are no `segments` and
    `positions`.
    """
    inputs_length, targets_length = lengths
    shifted = np.empty_like(targets)
    shifted[1:] = targets[:-1]
    shifted[np.cumsum(targets_lengths) - targets_lengths] = 0
    rows = len(examples_in_row)
    if full and len(encoder_lengths) == rows:
        shape = (rows, targets_length)
        return {
            "encoder": {"tokens": encoder.reshape(rows, inputs_length)},
            "decoder": {"tokens": shifted.reshape(shape)},
            "targets": targets.reshape(shape),
            "weights": np.ones(shape, np.float32),
        }
    encoder_side = RowLayout(examples_in_row, encoder_lengths, inputs_length)
    targets_side = RowLayout(examples_in_row, targets_lengths, targets_length)
    pad = int(vocabulary.pad_id)
    batch = {
        "encoder": {"tokens": encoder_side.lay(encoder, pad)},
        "decoder": {"tokens": targets_side.lay(shifted, 0)},
        "targets": targets_side.lay(targets, pad),
        "weights": targets_side.filled.astype(np.float32),
    }
    if not full:
        batch["encoder"] |= encoder_side.segments_and_positions()
        batch["decoder"] |= targets_side.segments_and_positions()
    return batch
