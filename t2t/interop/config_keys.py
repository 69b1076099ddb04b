"""Reading config.json of theirs key by key, refusing what a model of ours cannot be."""

import dataclasses
from typing import Any

from t2t.errors import UserError
from t2t.interop.stored_tensor import StoredTensor, equal
from t2t.models.architecture import Architecture

# What is not part of a network's arithmetic once its parameters are there.
_FREE = ("dropout", "layer_dropout", "expert_dropout", "router_jitter", "dtype", "layers", "remat")
_FREE += ("initialization", "kernel_scale", "dropout_along_length")


def positive(config: dict, key: str, where: str, default: int | None = None) -> int:
    """A positive integer. Raises: UserError naming the key."""
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{where}: {key} is {value!r}, not a positive integer")
    return value


def one_of(config: dict, key: str, where: str, known: dict[str, Any], default: str) -> Any:
    """What `known` has for a key's value. Raises: UserError listing what there is."""
    value = config.get(key, default)
    if value not in known:
        raise UserError(f"{where}: {key} is {value!r}; t2t has {', '.join(known)}")
    return known[value]


def plain(config: dict, where: str, values: dict[str, Any]) -> None:
    """Raises UserError where a key is there with another value than the only one that t2t computes."""
    for key, due in values.items():
        if config.get(key, due) != due:
            raise UserError(f"{where}: {key} is {config[key]!r}; t2t computes {due!r} only")


def padded(vocabulary: int) -> int:
    """Rows of our table for a vocabulary: the next multiple of 128."""
    return -(-vocabulary // 128) * 128


def tied(tensors: dict[str, StoredTensor], table: str, head: str) -> bool:
    """Whether a model has no head of its own, or one equal to the table, as far as its tensors tell."""
    if head not in tensors:
        return True
    return table in tensors and equal(tensors[table], tensors[head])


def bare(tensors: dict[str, StoredTensor], prefix: str) -> bool:
    """Whether tensors are those of a stack alone (...Model), all under `prefix`: there is no head."""
    return bool(tensors) and all(name.startswith(f"{prefix}.") for name in tensors)


def same(arch: Architecture, theirs: Architecture, family: str) -> None:
    """Raises UserError where a class of theirs would compute something else than `arch`.

    theirs: what its config.json says, read back.
    """
    for field in dataclasses.fields(arch):
        ours, other = getattr(arch, field.name), getattr(theirs, field.name)
        if field.name == "pooler_activation" and not arch.pair_classes:
            continue
        if field.name not in _FREE and ours != other:
            raise UserError(
                f"--family={family}: has {field.name}={other!r}, and this model {ours!r}"
            )
