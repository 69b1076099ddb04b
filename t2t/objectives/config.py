"""Configurations of the objectives: how raw tokens, or pairs of texts, become inputs and targets."""

import math
from dataclasses import dataclass
from typing import TypeAlias

from t2t.errors import UserError


@dataclass(frozen=True)
class SpanCorruption:
    """T5's span corruption (Raffel et al. 2020, section 3.1.4).

    `inputs_length` counts encoder tokens with sentinels and EOS; how many raw tokens fill it, and
    how long the targets get, follows. A larger `targets_length` pads every row.
    `random_roll` moves the spans around the row's ends, so that the first token is not always kept
    and the last not always masked.
    """

    inputs_length: int = 512
    targets_length: int | None = None
    noise_density: float = 0.15
    mean_noise_span_length: float = 3.0
    random_roll: bool = False

    def check(self, where: str) -> None:
        if self.inputs_length < 4:
            raise UserError(f"{where}.inputs_length: {self.inputs_length} is too short; at least 4")
        if self.inputs_length > 1 << 20:
            raise UserError(f"{where}.inputs_length: {self.inputs_length} is over 2^20")
        density = self.noise_density
        if not (math.isfinite(density) and 0.0 < density < 1.0):
            raise UserError(f"{where}.noise_density: {density} is not between 0 and 1")
        mean = self.mean_noise_span_length
        if not (math.isfinite(mean) and mean >= 1.0):
            raise UserError(f"{where}.mean_noise_span_length: {mean} is not at least 1")
        # A row of R raw tokens keeps about (1 - density) R of them.
        if self.inputs_length / (1.0 - density) > 1 << 24:
            raise UserError(
                f"{where}.noise_density: {density} would put over 2^24 raw tokens in a row"
            )
        from t2t.objectives import span_corruption

        needed = span_corruption.lengths_for(self, span_corruption.raw_length(self))[1]
        if self.targets_length is not None and self.targets_length < needed:
            raise UserError(
                f"{where}.targets_length: {self.targets_length} is too short, these settings make "
                f"targets of {needed} tokens; leave it out or give at least {needed}"
            )


@dataclass(frozen=True)
class TextToText:
    """The pairs of tasks as they are: an input and its target, each cut to its length with its EOS.

    In a run with another objective tasks are posed so too, in rows of that objective's lengths.
    """

    inputs_length: int = 512
    targets_length: int = 512

    def check(self, where: str) -> None:
        for key in ("inputs_length", "targets_length"):
            if not 2 <= getattr(self, key) <= 1 << 20:
                raise UserError(f"{where}.{key}: {getattr(self, key)} is not in 2..2^20")


Objective: TypeAlias = SpanCorruption | TextToText
