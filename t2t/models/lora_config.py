"""Low-rank adaptation of chosen kernels, as configuration."""

import dataclasses
import re

from t2t.errors import UserError

ATTENTION = r".*_attention/(query|value)/kernel"


def check_pattern(pattern: str, where: str) -> None:
    """Raises UserError where `pattern` is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"{where}: not a regular expression: {error} in {pattern!r} (write .* for anything)"
        ) from None


@dataclasses.dataclass(frozen=True)
class LoRA:
    """Beside a kernel W two thin ones: y = x W + alpha/rank x dropout(x) A B (arXiv:2106.09685).

    A [inputs, rank] is drawn uniformly within 1/sqrt(inputs), B [rank, outputs] is zero, so nothing
    changes at the start. kernels: a regular expression for the whole name of a kernel within the
    layers; the default is the paper's choice, query and value of every attention. dropout: of the
    adapters' input alone. B begins at zero, so optimizers that scale updates by a parameter's size
    (Adafactor, AdamWScale) hardly move it: use AdamW.
    """

    kernels: str = ATTENTION
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0

    def check(self, where: str) -> None:
        check_pattern(self.kernels, f"{where}.kernels")
        if self.rank < 1:
            raise UserError(f"{where}.rank: must be at least 1, got {self.rank}")
        if self.alpha <= 0:
            raise UserError(f"{where}.alpha: must be positive, got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"{where}.dropout: must be in [0, 1), got {self.dropout}")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


def is_adapter(name: str) -> bool:
    """Whether the parameter of this name ('.../query/lora/a') belongs to an adapter."""
    return "/lora/" in name
