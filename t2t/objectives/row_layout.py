"""Lays examples of known lengths into the rows of a batch, left to right, with padding behind."""

import numpy as np


def flat_examples(tokens: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns tokens[starts[e] : starts[e] + sizes[e]] of all examples, one behind the other, int32."""
    places = np.arange(int(sizes.sum()))
    places += np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return tokens[places].astype(np.int32, copy=False)


def put(
    flat: np.ndarray, at: np.ndarray, tokens: np.ndarray, starts: np.ndarray, sizes: np.ndarray
) -> None:
    """Writes tokens[starts[e] : starts[e] + sizes[e]] into `flat` from at[e] on, for all e."""
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    flat[within + np.repeat(at, sizes)] = tokens[within + np.repeat(starts, sizes)]


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
        # Where in its row each example begins, [E].
        self.offsets = (
            np.cumsum(lengths) - lengths - np.repeat(ends[last - examples_in_row], examples_in_row)
        )
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
    side = RowLayout(examples_in_row, encoder_lengths, inputs_length)
    inputs = {"tokens": side.lay(encoder, int(vocabulary.pad_id))}
    if not full:
        inputs |= side.segments_and_positions()
    decoder = lay_decoder(
        vocabulary, targets, targets_lengths, examples_in_row, targets_length, 0, full
    )
    return {"encoder": inputs, **decoder}


def lay_decoder(
    vocabulary,
    targets: np.ndarray,
    targets_lengths: np.ndarray,
    examples_in_row: np.ndarray,
    length: int,
    start: int,
    full: bool = False,
) -> dict:
    """Returns `decoder`, `targets` and `weights` of a Batch, as `lay_batch`; the decoder reads
    `start` at each example's beginning."""
    shifted = np.empty_like(targets)
    shifted[1:] = targets[:-1]
    shifted[np.cumsum(targets_lengths) - targets_lengths] = start
    rows = len(examples_in_row)
    if full and len(targets_lengths) == rows:
        return {
            "decoder": {"tokens": shifted.reshape(rows, length)},
            "targets": targets.reshape(rows, length),
            "weights": np.ones((rows, length), np.float32),
        }
    side = RowLayout(examples_in_row, targets_lengths, length)
    decoder = {"tokens": side.lay(shifted, 0)}
    if not full:
        decoder |= side.segments_and_positions()
    weights = side.filled.astype(np.float32)
    return {
        "decoder": decoder,
        "targets": side.lay(targets, int(vocabulary.pad_id)),
        "weights": weights,
    }
