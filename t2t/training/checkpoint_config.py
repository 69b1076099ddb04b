"""When checkpoints are written, and which of them are kept."""

import dataclasses
from typing import Literal

from t2t.errors import UserError


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """A checkpoint every `every_steps` steps and every `every_seconds` seconds (0: not by that).

    Kept are: the newest keep_latest; every step that is a multiple of keep_every_steps, for ever
    (0: none); the keep_best best by best_metric ('eval/NAME/loss'), among those saved right after
    an evaluation. verify: fingerprint every array when it is saved and when it is restored, so that
    silent damage to the files is noticed (about 0.02 s a 100 MB on a CPU, nothing on accelerators).
    """

    every_steps: int = 1000
    every_seconds: float = 0.0
    keep_latest: int = 3
    keep_every_steps: int = 0
    keep_best: int = 0
    best_metric: str = ""
    best_mode: Literal["min", "max"] = "min"
    verify: bool = True

    def check(self, where: str) -> None:
        for name, least in (
            ("every_steps", 0),
            ("every_seconds", 0),
            ("keep_latest", 1),
            ("keep_every_steps", 0),
            ("keep_best", 0),
        ):
            if getattr(self, name) < least:
                raise UserError(
                    f"{where}.{name}: must be at least {least}, got {getattr(self, name)}"
                )
        if self.keep_best and not self.best_metric:
            raise UserError(
                f"{where}.best_metric: names no metric though keep_best is "
                f"{self.keep_best}; for instance 'eval/NAME/loss'"
            )
        if self.best_metric and not (
            self.best_metric.startswith("eval/") and len(self.best_metric.split("/")) >= 3
        ):
            raise UserError(
                f"{where}.best_metric: must look like 'eval/NAME/loss', got {self.best_metric!r}"
            )
