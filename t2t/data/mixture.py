"""Which source a sample comes from, and which of that source's samples it is: by arithmetic.

The samples are split in two by a rate, each half again, down to single sources. At a split of rate
p the n-th sample goes left iff floor((n + 1) p) > floor(n p); it is then the left half's sample
floor(n p). So the shares are exact at every prefix (to one sample a split), sources are evenly
interleaved, and any sample is found without those before it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2t.errors import UserError

_BITS = 24
_ONE = 1 << _BITS


class SplitTree(NamedTuple):
    """Integer rates of the splits, as a heap: node 1 is the root, node i's halves 2i and 2i + 1."""

    left: np.ndarray  # int64 [leaves]: share that goes left, in units of 2^-24
    leaf_source: np.ndarray  # int64 [leaves]: source at a leaf, -1 where none stands
    depth: int


def rates(
    names: Sequence[str],
    factors: Sequence[float],
    sizes: Sequence[int],
    weighting: str,
    temperature: float = 1.0,
    maximum: int | None = None,
    budget: int | None = None,
    epochs: float = 1.0,
) -> np.ndarray:
    """Returns shares (float64, sum 1) of the sources in the samples.

    `rate`: the factors themselves. `size`: factor * size. `temperature`: factor * size^(1/T), as
    mT5's (Xue et al. 2021, alpha = 1/T). `maximum` caps sizes first, as SeqIO's rate_num_examples.
    `unimax`: factor * what `unimax` below gives each of `budget`.
    """
    weights = np.asarray(factors, np.float64)
    if weighting == "unimax":
        weights = weights * unimax(sizes, budget, epochs)
    elif weighting != "rate":
        capped = np.asarray(sizes, np.float64)
        if maximum is not None:
            capped = np.minimum(capped, maximum)
        weights = weights * capped ** (1.0 / (temperature if weighting == "temperature" else 1.0))
    for name, weight in zip(names, weights, strict=True):
        if not weight > 0:
            raise UserError(f"mixture: corpus {name!r} has rate {weight:g}; remove it or raise it")
    return weights / weights.sum()


def unimax(sizes: Sequence[float], budget: float, epochs: float) -> np.ndarray:
    """Returns how much of `budget` each source is given, float64: UniMax (arXiv:2304.09151, algorithm 1).

    From the smallest on, each gets an equal part of what is left, but no more than `epochs` times its
    size. Where all are capped something of the budget is left over, which only shares do not show.
    """
    given, left = np.zeros(len(sizes)), float(budget)
    ascending = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for done, i in enumerate(ascending):
        given[i] = min(left / (len(sizes) - done), epochs * sizes[i])
        left -= given[i]
    return given


def split_tree(names: Sequence[str], shares: Sequence[float]) -> SplitTree:
    """Builds the splits. Raises UserError where a source's share would be rounded to nothing."""
    count = len(names)
    depth = max(count - 1, 0).bit_length()
    leaves = 1 << depth
    # Largest first: neighbours have like shares, so the rates of splits stay away from 0 and 1.
    order = sorted(range(count), key=lambda i: (-shares[i], i))
    weight = np.zeros(2 * leaves)
    weight[leaves : leaves + count] = [shares[i] for i in order]
    for node in range(leaves - 1, 0, -1):
        weight[node] = weight[2 * node] + weight[2 * node + 1]
    left = np.zeros(leaves, np.int64)
    for node in range(1, leaves):
        if weight[node] == 0:
            continue
        left[node] = round(weight[2 * node] / weight[node] * _ONE)
        if left[node] == _ONE and weight[2 * node + 1] > 0:
            name = names[order[-1]]
            raise UserError(
                f"mixture: corpus {name!r} has a share of {shares[order[-1]]:.1e}, which is too "
                f"small beside the others (under 2^-{_BITS + 1}); raise its rate or remove it"
            )
    source = np.full(leaves, -1, np.int64)
    source[:count] = order
    return SplitTree(left, source, depth)


def assign(tree: SplitTree, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (source [B], number within the source [B]) of samples [B] (int64, < 2^39)."""
    number = np.asarray(samples, np.int64)
    if number.size and (number.min() < 0 or number.max() >= 1 << (63 - _BITS)):
        raise ValueError(f"mixture: sample numbers must be in range(2^{63 - _BITS})")
    node = np.ones(number.shape, np.int64)
    for _ in range(tree.depth):
        share = tree.left[node]
        before = (number * share) >> _BITS
        goes_left = ((number + 1) * share) >> _BITS > before
        number = np.where(goes_left, before, number - before)
        node = 2 * node + ~goes_left
    return tree.leaf_source[node - (1 << tree.depth)], number
