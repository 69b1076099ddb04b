"""The families whose published checkpoints are read and written, by their `model_type`."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from t2t.interop import t5_kin
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.models.families import t5
from t2t.models.published_weight import PublishedWeight


class Family(NamedTuple):
    """What is known of one of their model classes: all that a new family adds."""

    architecture: Callable[[dict, dict[str, StoredTensor], str], Architecture]  # of config.json
    config: Callable[[Architecture, str], dict]  # the content of config.json, for a dtype
    weights: Callable[[Architecture], list[PublishedWeight]]  # the name map
    copies: Callable[[Architecture], dict[str, str]]  # accepted where equal: copy -> original
    written_copies: Callable[[Architecture], dict[str, str]]
    legacy: dict[str, tuple[str, ...]]  # name -> older names of the same tensor
    ignored: tuple[str, ...]  # patterns of tensors that no network reads


def _t5_kin(name: str) -> Family:
    return Family(
        architecture=functools.partial(t5_kin.architecture, name),
        config=functools.partial(t5_kin.config, name),
        weights=t5.huggingface_weights,
        copies=t5_kin.copies,
        written_copies=t5_kin.written_copies,
        legacy=t5_kin.LEGACY,
        ignored=t5_kin.IGNORED,
    )


FAMILIES: dict[str, Family] = {name: _t5_kin(name) for name in ("t5", "mt5", "umt5")}


def family_of(arch: Architecture) -> str:
    """Returns the family whose class of theirs computes what `arch` does."""
    return t5_kin.family_of(arch)
