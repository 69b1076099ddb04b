"""Takes the batches of the objectives that predict tokens at places apart again, example by example."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class LaidExample(NamedTuple):
    """What a batch has of one example."""

    row: int
    number: int  # in its row, from 1: its segment
    places: np.ndarray  # in the row, of all its tokens
    encoder: dict[str, np.ndarray]  # its part of the batch's encoder
    stood: dict[int, int]  # place in the example -> what is predicted there


def laid_examples(batch: dict, in_row: list[int]) -> Iterator[LaidExample]:
    """Yields the examples of a batch, of which row r holds in_row[r]."""
    for row, count in enumerate(in_row):
        encoder = {k: v[row] for k, v in batch["encoder"].items()}
        segments = encoder.get("segments", np.ones_like(encoder["tokens"]))
        for number in range(1, count + 1):
            mine = np.flatnonzero(segments == number)
            there = (batch["weights"][row] > 0) & np.isin(batch["places"][row], mine)
            places = (batch["places"][row][there] - mine[0]).tolist()
            stood = dict(zip(places, batch["targets"][row][there].tolist(), strict=True))
            part = {k: v[mine] for k, v in encoder.items()}
            yield LaidExample(row, number, mine, part, stood)
