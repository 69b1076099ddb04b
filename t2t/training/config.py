"""How long and how a run trains: steps, seed, accumulation, loss terms, what to do on bad steps."""

import dataclasses
import re
from typing import Literal

from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.models.lora_config import LoRA, check_pattern
from t2t.training.early_stopping import EarlyStopping


@dataclasses.dataclass(frozen=True)
class Training:
    """The loop's own settings.

    steps: optimizer steps in the whole run. seed: of initialisation, dropout and sample order.
    accumulation: microbatches a step; gradients are summed and divided once by the global count of
    target tokens, so that the result does not depend on it. repeat_samples: when positive, only the
    first so many samples are used, over and over (to see a model overfit). z_loss: weight of
    log(Z)^2. label_smoothing: mass spread over the vocabulary. r_drop: weight of the divergence
    between two dropouts of each row (R-Drop, arXiv:2106.14448; 0: one pass). balance_loss: of a model with experts,
    weight of how unevenly they are used (Switch: 1e-2). loss_tokens: target
    tokens of a device whose logits are computed at once, the loss being the same (None: as many as
    take 128 MiB in float32; R-Drop takes all). bad_steps: consecutive steps with a
    non-finite loss or gradient (each skipped) after which the run stops. deterministic: ask GPUs
    for kernels that always add in the same order. device_flags: compile with the options chosen for
    this kind of device (t2t.parallel.compiler_flags); compiler_flags: (name, value) pairs besides, which
    win. watchdog_seconds: a step that takes longer dumps every thread's stack and, supervised or of
    several hosts, ends the process to be started again (0: never).

    For fine-tuning. trainable: a regular expression for the whole names of the parameters that are
    trained, the others are frozen (None: all, or with lora nothing but its adapters). lora: adapters
    beside kernels. layer_decay: factor of the learning rate from a layer to the one below it (1: the
    same everywhere). early_stopping: end when a metric gets no better.
    """

    steps: int = 10_000
    seed: int = 0
    accumulation: int = 1
    repeat_samples: int = 0
    z_loss: float = 1e-4
    label_smoothing: float = 0.0
    r_drop: float = 0.0
    balance_loss: float = 1e-2
    loss_tokens: int | None = None
    bad_steps: int = 10
    deterministic: bool = False
    device_flags: bool = True
    compiler_flags: tuple[tuple[str, str], ...] = ()
    watchdog_seconds: float = 600.0
    trainable: str | None = None
    lora: LoRA | None = None
    layer_decay: float = 1.0
    early_stopping: EarlyStopping | None = None

    def check(self, where: str) -> None:
        for name, least in (
            ("steps", 1),
            ("seed", 0),
            ("accumulation", 1),
            ("repeat_samples", 0),
            ("z_loss", 0),
            ("r_drop", 0),
            ("balance_loss", 0),
            ("bad_steps", 1),
            ("watchdog_seconds", 0),
        ):
            if getattr(self, name) < least:
                raise UserError(
                    f"{where}.{name}: must be at least {least}, got {getattr(self, name)}"
                )
        if self.loss_tokens is not None and self.loss_tokens < 1:
            raise UserError(
                f"{where}.loss_tokens: must be at least 1 (None: by size), got {self.loss_tokens}"
            )
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"{where}.label_smoothing: must be in [0, 1), got {self.label_smoothing}"
            )
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"{where}.layer_decay: must be in (0, 1], got {self.layer_decay}")
        if self.trainable is not None:
            check_pattern(self.trainable, f"{where}.trainable")
        for name in ("lora", "early_stopping"):
            if getattr(self, name) is not None:
                getattr(self, name).check(f"{where}.{name}")
        for name, _ in self.compiler_flags:
            if not re.fullmatch(r"xla_\w+", name):
                raise UserError(
                    f"{where}.compiler_flags: {name!r} is not the name of an option of XLA, "
                    "as `xla_tpu_scoped_vmem_limit_kib`"
                )
        if self.seed >= 2**63:
            raise UserError(f"{where}.seed: must be under 2^63, got {self.seed}")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """When held-out text is scored: before the first step, every `every_steps`, and at the end.

    batches: how many batches of each held-out corpus (0: all of it). examples: how many masked
    held-out sentences are filled in at the end and shown (a decoder alone goes on with them).
    input_blind: at the end also print the loss of the best predictor that cannot see its input, and
    the loss with the encoder inputs exchanged between rows.

    tasks: names (`t2t tasks` lists them) or `.toml` files of tasks that the model answers at every
    evaluation, `judging` as `t2t eval` takes its flags; a metrics row `eval/TASK` holds the scores,
    `predictions/` the answers. tasks_every_steps: more seldom than every_steps (0: not), since
    answers are written token by token.
    """

    every_steps: int = 1000
    batches: int = 20
    examples: int = 0
    input_blind: bool = False
    tasks: tuple[str, ...] = ()
    judging: Judging = Judging(resamples=0)
    tasks_every_steps: int = 0

    def check(self, where: str) -> None:
        for name, least in (
            ("every_steps", 1),
            ("batches", 0),
            ("examples", 0),
            ("tasks_every_steps", 0),
        ):
            if getattr(self, name) < least:
                raise UserError(
                    f"{where}.{name}: must be at least {least}, got {getattr(self, name)}"
                )
        if self.tasks_every_steps % self.every_steps:
            raise UserError(
                f"{where}.tasks_every_steps: {self.tasks_every_steps} is not a multiple of "
                f"every_steps={self.every_steps}"
            )
        for i, name in enumerate(self.tasks):
            if name in self.tasks[:i]:
                raise UserError(f"{where}.tasks[{i}]: {name!r} is named twice")
        self.judging.check(f"{where}.judging")

    def judges_tasks(self, step: int, last: int) -> bool:
        """Whether the evaluation after `step` has the tasks answered too."""
        return step == last or not step % (self.tasks_every_steps or self.every_steps)


@dataclasses.dataclass(frozen=True)
class Monitoring:
    """What is written while training: a metric row every `log_every` steps, TensorBoard, profile.

    profile: (first, last) steps of a profiler capture; (0, 0) captures nothing.
    """

    log_every: int = 10
    tensorboard: bool = True
    progress: Literal["auto", "bar", "lines", "off"] = "auto"
    profile: tuple[int, int] = (0, 0)

    def check(self, where: str) -> None:
        if self.log_every < 1:
            raise UserError(f"{where}.log_every: must be at least 1, got {self.log_every}")
        first, last = self.profile
        if (first, last) != (0, 0) and not 0 < first <= last:
            raise UserError(
                f"{where}.profile: must be (first, last) with 0 < first <= last, got {self.profile}"
            )
