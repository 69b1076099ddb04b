"""Which tokens are masked, in whole units, and what stands in their place: whole batches, NumPy.

The units of an example (tokens, or words) are tried in a random order; one is taken with up to
`longest - 1` units behind it, as many as fit what is left of the budget, unless one of them is taken
already (create_pretraining_data.py of BERT and ALBERT).
"""

import numpy as np

from t2t.data.order import below


def choose(
    begins: np.ndarray,
    maskable: np.ndarray,
    budget: np.ndarray,
    longest: int,
    order_keys: np.ndarray,
    length_bits: np.ndarray,
) -> np.ndarray:
    """Returns which tokens are chosen: bool [E, W], at most budget [E] of each example.

    begins [E, W]: a unit begins here; maskable [E, W]: the token belongs to a unit (the last that
    began before it). order_keys [E, >= W]: of unit u in column u, tried from the lowest on;
    length_bits uint32 [E, >= W]: likewise.
    """
    examples, width = begins.shape
    count = begins.sum(axis=1)
    most = int(count.max(initial=0))
    if most == 0:
        return np.zeros_like(begins)
    rows = np.arange(examples)
    unit = np.cumsum(begins, axis=1) - 1
    # Tokens in units before u, [E, most + longest + 1]; there is nothing behind the last unit.
    size = np.zeros((examples, most + longest), np.int64)
    at = np.nonzero(maskable)
    np.add.at(size, (at[0], unit[at]), 1)
    before = np.concatenate([np.zeros((examples, 1), np.int64), np.cumsum(size, axis=1)], axis=1)
    column = np.arange(most)
    keys = np.where(column < count[:, None], order_keys[:, :most], np.inf)
    order = np.argsort(keys, axis=1, kind="stable")
    # Row m: upper ends of the draw for 1, 2, ... of m + 1 units, n with a probability in 1 / n.
    law = 1.0 / np.arange(1, longest + 1)
    ends = np.array([np.cumsum(law * (law >= law[m])) / law[: m + 1].sum() for m in range(longest)])
    ends = ends[:, :-1] * 2.0**32
    taken = np.zeros((examples, most + longest), bool)
    left = np.asarray(budget, np.int64).copy()
    for turn in range(most):
        active = (left > 0) & (turn < count)
        if not active.any():
            break
        first = order[:, turn]
        available = np.minimum(count - first, longest)
        drawn = length_bits[rows, first][:, None] >= ends[np.maximum(available, 1) - 1]
        number = np.minimum(1 + drawn.sum(axis=1), np.maximum(available, 1))
        for _ in range(longest - 1):
            over = before[rows, first + number] - before[rows, first] > left
            number -= over & (number > 1)
        tokens = before[rows, first + number] - before[rows, first]
        free = active & (tokens <= left)
        for ahead in range(longest):
            free &= ~(taken[rows, first + ahead] & (ahead < number))
        for ahead in range(longest):
            put = np.flatnonzero(free & (ahead < number))
            taken[put, first[put] + ahead] = True
        left -= tokens * free
    chosen = np.zeros_like(begins)
    chosen[at] = taken[at[0], unit[at]]
    return chosen


def rare_first(bits: np.ndarray, begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns order keys float64 [E, W] for `choose` by which rare tokens tend to come first.

    Taking the lowest is drawing without replacement, each time with probabilities in 1 / counts (the
    exponential race; Efraimidis and Spirakis 2006). bits uint32 [E, >= W]: of unit u in column u;
    begins [E, W]; counts [E, W]: of the token at each place.
    """
    keys = -np.log((bits[:, : begins.shape[1]] + 0.5) / 2.0**32)
    at = np.nonzero(begins)
    unit = np.cumsum(begins, axis=1)[at] - 1
    keys[at[0], unit] *= counts[at]
    return keys


def draw(
    begins: np.ndarray, maskable: np.ndarray, rate: float, most: np.ndarray, bits: np.ndarray
) -> np.ndarray:
    """Returns which tokens are chosen, bool [E, W]: each unit with probability rate, for itself.

    Units from the left on that go over `most` [E] tokens are left out. begins, maskable: as in
    `choose`; bits uint32 [E, W]: of unit u in column u.
    """
    unit = np.maximum(np.cumsum(begins, axis=1) - 1, 0)
    taken = maskable & (np.take_along_axis(bits, unit, axis=1) < rate * 2.0**32)
    over = taken & (np.cumsum(taken, axis=1) > most[:, None])
    # A unit is left out whole: all of it from its beginning.
    ends_over = np.zeros(begins.shape, bool)
    np.logical_or.at(ends_over, (np.nonzero(over)[0], unit[over]), True)
    return taken & ~np.take_along_axis(ends_over, unit, axis=1)


def replace(
    tokens: np.ndarray,
    masked: float,
    random: float,
    mask_id: int,
    ordinary: np.ndarray,
    kind_bits: np.ndarray,
    token_bits: np.ndarray,
) -> np.ndarray:
    """Returns what stands in the place of chosen tokens [N]: [MASK], a random one, or themselves.

    ordinary: the ids that random ones come from. kind_bits, token_bits: uint32 [N].
    """
    kind = kind_bits / 2.0**32
    result = np.where(kind < masked, np.int32(mask_id), tokens)
    drawn = ordinary[below(token_bits, len(ordinary))]
    return np.where((kind >= masked) & (kind < masked + random), drawn, result).astype(np.int32)
