"""How text is written: greedily, by beam search, or sampled; and where writing ends."""

import dataclasses
from typing import TypeAlias

from t2t import schema
from t2t.errors import UserError

MOST_BEAMS = 1024  # each has a cache of its own


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Limits:
    """What every way of writing shares."""

    max_tokens: int = 64  # the longest output, its prefix and its end of sequence included
    prefix: str = ""  # every output is made to begin with this
    stop: tuple[str, ...] = ()  # an output ends where one of these would begin

    def check(self, where: str) -> None:
        """Raises UserError naming the first field that is of another type, not finite, or out of range."""
        schema.check_types(self, type(self), where)
        if self.max_tokens < 1:
            raise UserError(f"{where}.max_tokens: must be at least 1, got {self.max_tokens}")
        for i, text in enumerate(self.stop):
            if not text:
                raise UserError(f"{where}.stop[{i}]: an empty text would stop every output at once")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Greedy(_Limits):
    """The most probable token, again and again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beam(_Limits):
    """Beam search: the `n_best` of `beams` hypotheses, by log p / ((5 + tokens) / 6)^length_penalty.

    The penalty is GNMT's (arXiv:1609.08144, equation 14, without coverage), 0.6 in T5.
    """

    beams: int = 4
    length_penalty: float = 0.6
    n_best: int = 1

    def check(self, where: str) -> None:
        super().check(where)
        if not 1 <= self.beams <= MOST_BEAMS:
            raise UserError(f"{where}.beams: must be in 1..{MOST_BEAMS}, got {self.beams}")
        if not 1 <= self.n_best <= self.beams:
            raise UserError(
                f"{where}.n_best: must be in 1..{self.beams} (beams), got {self.n_best}"
            )
        if self.length_penalty < 0:
            raise UserError(
                f"{where}.length_penalty: must not be negative (0 ranks by log p alone), "
                f"got {self.length_penalty}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(_Limits):
    """Tokens drawn from softmax(logits / temperature), cut to the likeliest if told so.

    top_k keeps that many tokens (0: all). top_p keeps the fewest tokens whose probabilities reach
    it (1: all; arXiv:1904.09751), of what top_k left. An output depends on the seed, the example's
    number and the sample's number alone, whatever else is in its batch.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    samples: int = 1
    seed: int = 0

    def check(self, where: str) -> None:
        super().check(where)
        if self.temperature <= 0:
            raise UserError(
                f"{where}.temperature: must be positive, got {self.temperature}; "
                "the limit 0 is Greedy"
            )
        if self.top_k < 0:
            raise UserError(f"{where}.top_k: must not be negative (0: all), got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"{where}.top_p: must be in (0, 1], got {self.top_p}")
        if self.samples < 1:
            raise UserError(f"{where}.samples: must be at least 1, got {self.samples}")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"{where}.seed: must be in 0..4294967295, got {self.seed}")


Decoding: TypeAlias = Greedy | Beam | Sample
