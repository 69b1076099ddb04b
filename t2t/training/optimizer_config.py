"""Optimizers as configuration: T5's Adafactor, AdamW, AdamW scaled by parameter RMS, LAMB, optax by name.

All share four fields. weight_decay: every update takes `learning rate x weight_decay` of the
parameter away (decoupled, as AdamW, arXiv:1711.05101). decay_kinds: the kinds of parameters that
decay: `kernel`, `embedding`, `norm`, `bias` (which includes relative position tables).
clip_global_norm: gradients are scaled down to this global norm before the update (None: never).
state_dtype: what moments are stored in between steps; bfloat16 halves their memory, and is rounded at
random, so that slow moments still move (see t2t.training.state_dtype).
"""

import dataclasses
import inspect
from typing import Literal

from t2t.errors import UserError, nearest

ParameterKind = Literal["kernel", "embedding", "norm", "bias"]
StateType = Literal["float32", "bfloat16"]
MATRICES: tuple[ParameterKind, ...] = ("kernel", "embedding")


def _check_common(cfg, where: str) -> None:
    if cfg.weight_decay < 0:
        raise UserError(f"{where}.weight_decay: must not be negative, got {cfg.weight_decay}")
    if len(set(cfg.decay_kinds)) != len(cfg.decay_kinds):
        raise UserError(f"{where}.decay_kinds: names a kind twice: {cfg.decay_kinds}")
    if cfg.clip_global_norm is not None and cfg.clip_global_norm <= 0:
        raise UserError(
            f"{where}.clip_global_norm: must be positive (None: no clipping), "
            f"got {cfg.clip_global_norm}"
        )


def _check_fractions(cfg, where: str, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(cfg, name) < 1:
            raise UserError(f"{where}.{name}: must be in [0, 1), got {getattr(cfg, name)}")


def _check_moments(cfg, where: str, *positive: str) -> None:
    """Of Adam and what is made from it."""
    _check_common(cfg, where)
    _check_fractions(cfg, where, "b1", "b2")
    _check_positive(cfg, where, "epsilon", *positive)


def _check_positive(cfg, where: str, *names: str) -> None:
    for name in names:
        if getattr(cfg, name) <= 0:
            raise UserError(f"{where}.{name}: must be positive, got {getattr(cfg, name)}")


@dataclasses.dataclass(frozen=True)
class Adafactor:
    """T5's Adafactor (arXiv:1804.04235 as T5X runs it); the defaults are the published ones.

    factored: keep row and column means of the squared gradient where the two largest dimensions of
    one layer's parameter are at least min_dim_size_to_factor, the whole array elsewhere.
    multiply_by_parameter_scale: updates are relative to max(minimum_scale, RMS of the parameter).
    decay_exponent: beta2 of update t = 0, 1, ... is 1 - (t + 1)^-decay_exponent. epsilon is added to
    the squared gradient. clipping_threshold: largest RMS of an update (None: any). momentum: of the
    update (None: none). umT5 XXL: factored=False, momentum=0.9, clip_global_norm=1.0.
    """

    factored: bool = True
    min_dim_size_to_factor: int = 128
    multiply_by_parameter_scale: bool = True
    decay_exponent: float = 0.8
    epsilon: float = 1e-30
    minimum_scale: float = 1e-3
    clipping_threshold: float | None = 1.0
    momentum: float | None = None
    weight_decay: float = 0.0
    decay_kinds: tuple[ParameterKind, ...] = MATRICES
    clip_global_norm: float | None = None
    state_dtype: StateType = "float32"

    def check(self, where: str) -> None:
        _check_common(self, where)
        _check_positive(
            self, where, "min_dim_size_to_factor", "decay_exponent", "epsilon", "minimum_scale"
        )
        if self.clipping_threshold is not None:
            _check_positive(self, where, "clipping_threshold")
        if self.momentum is not None:
            _check_fractions(self, where, "momentum")


@dataclasses.dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (arXiv:1711.05101).

    bias_correction: divide both moments by 1 - b^t, so that early updates are not small.
    """

    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-8
    bias_correction: bool = True
    weight_decay: float = 0.01
    decay_kinds: tuple[ParameterKind, ...] = MATRICES
    clip_global_norm: float | None = 1.0
    state_dtype: StateType = "float32"

    def check(self, where: str) -> None:
        _check_moments(self, where)


@dataclasses.dataclass(frozen=True)
class AdamWScale:
    """nanoT5's optimizer: AdamW's update x max(minimum_scale, RMS of the parameter), per layer.

    Published there: learning rate 2e-2, b2 0.999, epsilon 1e-6, no decay, clip 1.0; held-out loss
    1.953 with a cosine schedule against 1.995 of Adafactor.
    """

    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-6
    bias_correction: bool = True
    minimum_scale: float = 1e-3
    weight_decay: float = 0.0
    decay_kinds: tuple[ParameterKind, ...] = MATRICES
    clip_global_norm: float | None = 1.0
    state_dtype: StateType = "float32"

    def check(self, where: str) -> None:
        _check_moments(self, where, "minimum_scale")


@dataclasses.dataclass(frozen=True)
class Lamb:
    """ALBERT's LAMB (arXiv:1904.00962 as google-research/albert runs it): AdamW's update, decay
    included, x norm of the parameter / norm of that update, per layer.

    The ratio is 1 where either norm is 0, and for kinds other than decay_kinds, which do not decay
    either: norms and biases take Adam's plain update. optax's `lamb` scales those too, and corrects
    the moments' bias as the paper does, which ALBERT does not.
    """

    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-6
    bias_correction: bool = False
    weight_decay: float = 0.01
    decay_kinds: tuple[ParameterKind, ...] = MATRICES
    clip_global_norm: float | None = 1.0
    state_dtype: StateType = "float32"

    def check(self, where: str) -> None:
        _check_moments(self, where)


# Those of optax that need nothing but gradients and parameters. Its adafactor is not among them:
# it mixes the layers of a stack.
OPTAX_NAMES = (
    "adabelief",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "amsgrad",
    "fromage",
    "lamb",
    "lars",
    "lion",
    "nadam",
    "nadamw",
    "novograd",
    "radam",
    "rmsprop",
    "sgd",
    "sign_sgd",
    "signum",
    "yogi",
)


def optax_arguments(name: str) -> dict[str, object]:
    """Returns {argument: default} of the numbers and switches that an optax optimizer takes.

    Learning rate and weight decay are not among them: a schedule and `weight_decay` say them.
    """
    import optax

    return {
        p.name: p.default
        for p in inspect.signature(getattr(optax, name)).parameters.values()
        if p.name not in ("learning_rate", "weight_decay")
        and not p.name.endswith(("mask", "dtype"))
        and (p.default is None or isinstance(p.default, bool | int | float))
    }


@dataclasses.dataclass(frozen=True)
class Optax:
    """An optimizer of optax by name, for instance `Optax("sgd", (("momentum", 0.9),))`.

    arguments: (name, number) pairs from its signature; a switch is 0 or 1; the rest keep their
    defaults. weight_decay is this field's value (default 0), never optax's own default. Rules that
    use norms of whole parameters (lamb, lars, fromage, novograd) run layer by layer.
    """

    name: str = "sgd"
    arguments: tuple[tuple[str, float], ...] = ()
    weight_decay: float = 0.0
    decay_kinds: tuple[ParameterKind, ...] = MATRICES
    clip_global_norm: float | None = None
    state_dtype: StateType = "float32"

    def check(self, where: str) -> None:
        _check_common(self, where)
        if self.name not in OPTAX_NAMES:
            raise UserError(
                f"{where}.name: no optimizer {self.name!r}{nearest(self.name, OPTAX_NAMES)}; "
                f"known: {', '.join(OPTAX_NAMES)}"
            )
        known = optax_arguments(self.name)
        names = [name for name, _ in self.arguments]
        for name in names:
            if name in ("learning_rate", "weight_decay"):
                raise UserError(
                    f"{where}.arguments: {name!r} is not given here; set "
                    f"{'the schedule' if name == 'learning_rate' else 'weight_decay'}"
                )
            if name not in known:
                raise UserError(
                    f"{where}.arguments: optax.{self.name} takes no {name!r}"
                    f"{nearest(name, known)}; it takes {', '.join(known) or 'none'}"
                )
        if len(set(names)) != len(names):
            raise UserError(f"{where}.arguments: names an argument twice: {', '.join(names)}")


Optimizer = Adafactor | AdamW | AdamWScale | Lamb | Optax
