"""Early stopping: end a run when a metric has not got better for some evaluations."""

import dataclasses
from typing import Literal, NamedTuple

from t2t.errors import UserError


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stops after `patience` evaluations in a row without a better `metric` ('eval/NAME/loss').

    mode: whether less (min) or more (max) is better. least_gain: what counts as better must be so
    by more than this.
    """

    metric: str
    mode: Literal["min", "max"] = "min"
    patience: int = 3
    least_gain: float = 0.0

    def check(self, where: str) -> None:
        if self.patience < 1:
            raise UserError(f"{where}.patience: must be at least 1, got {self.patience}")
        if self.least_gain < 0:
            raise UserError(f"{where}.least_gain: must not be negative, got {self.least_gain}")


class Patience(NamedTuple):
    """What early stopping remembers; every checkpoint holds it."""

    metric: str
    best: float | None = None
    step: int = 0  # the evaluation that gave the best
    since: int = 0  # evaluations after that one

    @classmethod
    def of(cls, cfg: EarlyStopping, record: dict) -> "Patience":
        """Returns what a checkpoint's record says; the beginning where it says nothing of it."""
        saved = cls(*record.get("patience", ("",)))
        return saved if saved.metric == cfg.metric else cls(cfg.metric)

    def after(self, cfg: EarlyStopping, step: int, scores: dict[str, float]) -> "Patience":
        """Returns it after an evaluation; scores without the metric change nothing."""
        value = scores.get(cfg.metric)
        if value is None:
            return self
        sign = 1 if cfg.mode == "min" else -1
        if self.best is None or sign * (self.best - value) > cfg.least_gain:
            return Patience(cfg.metric, value, step)
        return self._replace(since=self.since + 1)
