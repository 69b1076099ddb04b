"""Which parameters a run trains: all, those of a name, LoRA's adapters."""

import re
from collections.abc import Callable, Iterable

from t2t.errors import UserError
from t2t.models.lora_config import is_adapter
from t2t.training.config import Training


def trained(cfg: Training, names: Iterable[str]) -> Callable[[str], bool]:
    """Returns whether the parameter of a name is trained.

    `cfg.trainable` is a regular expression for whole names; None is everything, or under LoRA
    nothing besides the adapters, which are trained always.
    Raises: UserError where it matches none of the model's `names`.
    """
    pattern = cfg.trainable
    if pattern is None:
        return lambda name: cfg.lora is None or is_adapter(name)
    own = [name for name in names if not is_adapter(name)]
    if not any(re.fullmatch(pattern, name) for name in own):
        raise UserError(
            f"config.training.trainable: {pattern!r} matches the whole name of no parameter; "
            f"they are {', '.join(own)}"
        )
    return lambda name: is_adapter(name) or re.fullmatch(pattern, name) is not None
