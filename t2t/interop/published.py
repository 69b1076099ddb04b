"""A model trained elsewhere: its architecture, and views of its tensors as leaves of ours, or back."""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import jax
import ml_dtypes
import numpy as np

from t2t.data.tokenizer_config import Tokenizer
from t2t.errors import UserError
from t2t.interop import stored_tensor as views
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.models.published_weight import PublishedWeight
from t2t.models.transformer import build

Path = tuple[str, ...]
DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
_FLOATS = {*DTYPES.values(), np.dtype(np.float64)}
_SHOWN = 20
# The leaves with an entry a token, and which axis that is.
_VOCABULARY_AXES: dict[Path, int] = {
    ("token_embedding", "table"): 0,
    ("decoder_token_embedding", "table"): 0,
    ("lm_head", "kernel"): 1,
    ("vocabulary_bias", "bias"): 0,
}


@dataclass(frozen=True)
class Published:
    """A checkpoint of another system, opened: nothing but headers has been read.

    leaves: our parameters by path, each a view of the tensors that it is made of. tokenizer: None
    where the checkpoint holds none that t2t reads. family: the key in `families.FAMILIES`. labels: what
    a classifier's outputs are called, in order; () of any other model. pooler: what a classifier may
    begin to pool by, where the model itself has none.
    """

    where: str
    family: str
    arch: Architecture
    leaves: dict[Path, StoredTensor]
    tokenizer: Tokenizer | None = None
    labels: tuple[str, ...] = ()
    pooler: dict[Path, StoredTensor] = field(default_factory=dict)

    @property
    def headless(self) -> bool:
        """Whether it is an encoder (BertModel) with nothing beside it that tells anything."""
        arch = self.arch
        told = arch.head != "vocabulary" or arch.vocabulary_bias or not arch.tied_embedding
        return not (arch.decoder_layers or told or arch.pair_classes or arch.token_classes)


class Problems:
    """What does not fit, gathered over a whole checkpoint and refused in one line."""

    def __init__(self):
        self.missing: list[str] = []
        self.unknown: list[str] = []
        self.misshapen: list[str] = []

    def refuse(self, where: str, what: str) -> None:
        """Raises UserError naming every tensor that does not fit, if there is one."""
        found = [
            f"{kind}: {_listed(names)}"
            for kind, names in (
                ("missing", self.missing),
                ("unknown", self.unknown),
                ("of another shape or type", self.misshapen),
            )
            if names
        ]
        if found:
            raise UserError(f"{where}: does not hold {what}: {'; '.join(found)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


@functools.lru_cache(maxsize=16)
def parameter_shapes(arch: Architecture) -> dict[Path, tuple[int, ...]]:
    """Returns the shape of every parameter of ours by path."""
    leaves = jax.tree_util.tree_leaves_with_path(build(arch).shapes)
    return {tuple(key.key for key in path): leaf.shape for path, leaf in leaves}


def leaves_of(
    weights: list[PublishedWeight],
    tensors: dict[str, StoredTensor],
    arch: Architecture,
    where: str,
    what: str,
) -> dict[Path, StoredTensor]:
    """Returns our leaves as views of `tensors`, which hold those of the map and no others.

    A vocabulary that is smaller than ours (which is padded to a multiple of 128) is padded.
    Raises: UserError, one line, that lists by name what is missing, unknown, or of another shape.
    """
    problems = Problems()
    problems.unknown = sorted(set(tensors) - {weight.name for weight in weights})
    shapes = parameter_shapes(arch)
    pieces: dict[Path, dict[tuple, StoredTensor]] = {}
    for weight in weights:
        if weight.name not in tensors:
            problems.missing.append(weight.name)
            continue
        tensor = tensors[weight.name]
        shape = shapes[weight.path][len(_place(weight)) :]
        view = _as_ours(weight, tensor, shape)
        if view is None:
            due = theirs_shape(weight, shape)
            problems.misshapen.append(f"{weight.name} {_described(tensor)}, not {list(due)}")
            continue
        pieces.setdefault(weight.path, {})[_place(weight)] = view
    unset = set(shapes) - {weight.path for weight in weights}
    assert not unset, f"the name map of {what} leaves {unset} out"
    problems.missing = list(dict.fromkeys(problems.missing))
    problems.misshapen = list(dict.fromkeys(problems.misshapen))
    problems.refuse(where, what)
    return {path: _stacked(found) for path, found in pieces.items()}


def _place(weight: PublishedWeight) -> tuple[int, ...]:
    """Where in our array it stands: (), (layer,), or (layer, expert)."""
    return tuple(i for i in (weight.layer, weight.expert) if i is not None)


def _stacked(pieces: dict[tuple, StoredTensor]) -> StoredTensor:
    """Returns what stands at places 0, 1, ... of one or two axes in an array; at () it is whole."""
    if () in pieces:
        return pieces[()]
    first = sorted({place[0] for place in pieces})
    return views.stacked(
        [_stacked({p[1:]: view for p, view in pieces.items() if p[0] == i}) for i in first]
    )


def _described(tensor: StoredTensor) -> str:
    return f"{list(tensor.shape)} {tensor.dtype.name}"


def _as_ours(
    weight: PublishedWeight, tensor: StoredTensor, shape: tuple[int, ...]
) -> StoredTensor | None:
    """Returns their tensor as ours of `shape`; None where it cannot be."""
    if tensor.dtype not in _FLOATS:
        return None
    if weight.heads_axis is not None:
        if len(tensor.shape) < weight.heads_axis + 2:
            return None
        tensor = views.merged_axes(tensor, weight.heads_axis)
    if len(tensor.shape) != len(shape):
        return None
    if weight.transposed:
        tensor = views.transposed(tensor)
    if weight.part is not None:
        if tensor.shape[-1] != shape[-1] * weight.part[1]:
            return None
        tensor = views.part_of(tensor, *weight.part)
    if weight.path in _VOCABULARY_AXES:
        axis = _VOCABULARY_AXES[weight.path]
        short = shape[axis] - tensor.shape[axis]
        if 0 < short < 128:
            tensor = views.padded(tensor, axis, shape[axis])
    return tensor if tensor.shape == shape else None


def theirs_shape(weight: PublishedWeight, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of their tensor for ours of `shape`, heads left joined."""
    if weight.part is not None:
        shape = (*shape[:-1], shape[-1] * weight.part[1])
    return shape[::-1] if weight.transposed else shape


def tensors_of(
    weights: list[PublishedWeight], leaves: dict[Path, StoredTensor], heads: int
) -> dict[str, StoredTensor]:
    """Returns their tensors as views of our leaves, in the order of our leaves.

    So each leaf is done with before the next is read, whatever reading one costs.
    """
    order = {path: number for number, path in enumerate(leaves)}
    result: dict[str, StoredTensor] = {}
    parts: dict[str, list[tuple[PublishedWeight, StoredTensor]]] = {}
    for weight in sorted(weights, key=lambda weight: order[weight.path]):
        tensor = leaves[weight.path]
        for number in _place(weight):
            tensor = views.row(tensor, number)
        if weight.part is not None:
            beside = parts.setdefault(weight.name, [])
            beside.append((weight, tensor))
            if len(beside) < weight.part[1]:
                continue
            tensor = views.joined([t for w, t in sorted(beside, key=lambda pair: pair[0].part)])
        if weight.transposed:
            tensor = views.transposed(tensor)
        if weight.heads_axis is not None:
            tensor = views.split_axis(tensor, weight.heads_axis, heads)
        result[weight.name] = tensor
    return result


def cast(leaves: dict[Path, StoredTensor], dtype: str | None) -> dict[Path, StoredTensor]:
    """Returns views of another type (a name in DTYPES); None leaves them as they are stored.

    But float64 becomes float32, the widest type that a parameter of ours has.
    """

    def one(tensor: StoredTensor) -> StoredTensor:
        wide = tensor.dtype == np.float64
        kind = DTYPES[dtype] if dtype else np.dtype(np.float32) if wide else tensor.dtype
        if tensor.dtype == kind:
            return tensor
        return StoredTensor(tensor.shape, kind, lambda index: tensor.read(index).astype(kind))

    return {path: one(leaf) for path, leaf in leaves.items()}


def parameters(leaves: dict[Path, StoredTensor], shapes):
    """Returns the parameters on devices: each process reads the shards it holds, and no more.

    shapes: our tree of ShapeDtypeStructs with shardings; values are cast to its types.
    """

    def one(path, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        tensor = leaves[tuple(key.key for key in path)]
        return jax.make_array_from_callback(
            leaf.shape, leaf.sharding, lambda index: tensor.at(index).astype(leaf.dtype)
        )

    return jax.tree_util.tree_map_with_path(one, shapes)


def parameter_count(leaves: Iterable[StoredTensor]) -> int:
    return sum(math.prod(leaf.shape) for leaf in leaves)
