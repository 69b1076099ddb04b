"""Where a tensor of a published checkpoint lives among our parameters: an entry of a name map."""

from typing import NamedTuple


class PublishedWeight(NamedTuple):
    """One tensor of a Hugging Face checkpoint, or one part of it, and its place in ours.

    Read from theirs to ours: what of their axes is split by heads is joined, the axes are reversed
    where `transposed`, then the part is cut out.
    """

    name: str  # the tensor's name there
    path: tuple[str, ...]  # ours
    layer: int | None = None  # index into our stacked [layers, ...] array
    transposed: bool = False  # theirs is ours transposed (their linears are [out, in])
    # Theirs holds `part[1]` of ours side by side on the last axis, this is number `part[0]`
    # (GPT-2's fused query, key and value).
    part: tuple[int, int] | None = None
    # This axis of theirs and the next, (heads, head_dim), are one of ours (XLNet's raw tensors).
    heads_axis: int | None = None
    expert: int | None = None  # index into our [experts, ...] array of a layer


def affine(
    name: str, path: tuple[str, ...], layer: int | None = None, transposed: bool = True
) -> list[PublishedWeight]:
    """Their linear layer with a bias: `name.weight` and `name.bias`."""
    return [
        PublishedWeight(f"{name}.weight", (*path, "kernel"), layer, transposed),
        PublishedWeight(f"{name}.bias", (*path, "bias"), layer),
    ]


def normed(name: str, path: tuple[str, ...], layer: int | None = None) -> list[PublishedWeight]:
    """Their layer norm: `name.weight` and `name.bias`."""
    return [
        PublishedWeight(f"{name}.weight", (*path, "scale"), layer),
        PublishedWeight(f"{name}.bias", (*path, "bias"), layer),
    ]
