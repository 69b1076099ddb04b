"""Learning-rate schedules as configuration.

Steps count from 0. All share four fields. peak: the highest rate. warmup_steps and warmup_from: the
rate rises linearly from `warmup_from x peak` at step 0 to `peak` at step `warmup_steps`. final: the
rate at the end of the run.
"""

import dataclasses

from t2t.errors import UserError


def _check(cfg, where: str) -> None:
    if cfg.peak <= 0:
        raise UserError(f"{where}.peak: must be positive, got {cfg.peak}")
    if cfg.warmup_steps < 0:
        raise UserError(f"{where}.warmup_steps: must not be negative, got {cfg.warmup_steps}")
    if not 0 <= cfg.warmup_from <= 1:
        raise UserError(f"{where}.warmup_from: must be in [0, 1], got {cfg.warmup_from}")
    if not 0 <= cfg.final <= cfg.peak:
        raise UserError(f"{where}.final: must be between 0 and peak ({cfg.peak}), got {cfg.final}")
    share = getattr(cfg, "decay_share", 0.0)
    if not 0 <= share <= 1:
        raise UserError(f"{where}.decay_share: must be in [0, 1], got {share}")
    decay = getattr(cfg, "decay_steps", 0)
    if decay and decay <= cfg.warmup_steps:
        raise UserError(
            f"{where}.decay_steps: {decay} is not past warmup_steps ({cfg.warmup_steps}); 0 is the "
            "run's last step"
        )
    if cfg.final and not share and hasattr(cfg, "decay_share"):
        raise UserError(f"{where}.final: is reached only with a decay_share above 0, which is 0")


@dataclasses.dataclass(frozen=True)
class InverseSquareRoot:
    """peak x sqrt(warmup_steps / max(step, warmup_steps)), as T5.

    The defaults are T5's 1/sqrt(max(step, 10000)): constant 0.01 for 10,000 steps, no ramp
    (warmup_from 1). decay_share: over this last share of the run the rate is also led linearly to
    `final`; 0.1 is Mesh TensorFlow's default and nanoT5's `legacy`, T5 1.1, mT5 and ByT5 have 0.
    """

    peak: float = 0.01
    warmup_steps: int = 10_000
    warmup_from: float = 1.0
    decay_share: float = 0.0
    final: float = 0.0

    def check(self, where: str) -> None:
        _check(self, where)
        if self.warmup_steps < 1:
            raise UserError(f"{where}.warmup_steps: must be at least 1, got {self.warmup_steps}")


@dataclasses.dataclass(frozen=True)
class Constant:
    """The peak after the warm-up; over the last decay_share of the run linearly to `final`.

    T5's fine-tuning is Constant(peak=1e-3).
    """

    peak: float = 1e-3
    warmup_steps: int = 0
    warmup_from: float = 0.0
    decay_share: float = 0.0
    final: float = 0.0

    def check(self, where: str) -> None:
        _check(self, where)


@dataclasses.dataclass(frozen=True)
class Linear:
    """From the peak at the end of the warm-up in a straight line to `final` at the last step."""

    peak: float = 1e-3
    warmup_steps: int = 1000
    warmup_from: float = 0.0
    final: float = 0.0

    def check(self, where: str) -> None:
        _check(self, where)


@dataclasses.dataclass(frozen=True)
class Cosine:
    """From the peak at the end of the warm-up along half a cosine to `final` at the last step.

    nanoT5: peak 2e-2, warmup_steps 10,000, warmup_from 0.5, final 1e-5. decay_steps: the step of `final`
    where that is another than the last: before it (GPT-3; from there on the rate stays) or after it
    (Turing-NLG, which ends on the way down). 0: the last.
    """

    peak: float = 1e-3
    warmup_steps: int = 1000
    warmup_from: float = 0.0
    final: float = 0.0
    decay_steps: int = 0

    def check(self, where: str) -> None:
        _check(self, where)


Schedule = InverseSquareRoot | Constant | Linear | Cosine
