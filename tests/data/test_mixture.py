"""Mixtures: exact shares, random access, rates by size, temperature and UniMax."""

import numpy as np
import pytest

from t2t.data import mixture
from t2t.errors import UserError


def tree_of(shares):
    return mixture.split_tree([f"c{i}" for i in range(len(shares))], shares)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 101])
def test_shares_are_exact_at_every_prefix(count):
    rng = np.random.default_rng(count)
    shares = rng.uniform(0.2, 3, count)
    shares /= shares.sum()
    source, _ = mixture.assign(tree_of(shares), np.arange(20000))
    assert source.min() >= 0 and source.max() < count
    cumulated = np.cumsum(source[:, None] == np.arange(count), axis=0)
    wanted = np.arange(1, 20001)[:, None] * shares
    # One sample for each split on the way to a source.
    assert np.abs(cumulated - wanted).max() <= max(count - 1, 0).bit_length() + 0.01


def test_each_source_is_read_in_order_without_gaps():
    source, number = mixture.assign(tree_of([0.5, 0.3, 0.15, 0.05]), np.arange(5000))
    for s in range(4):
        np.testing.assert_array_equal(number[source == s], np.arange((source == s).sum()))


def test_random_access_far_out():
    tree = tree_of([0.7, 0.2, 0.1])
    samples = np.arange(10**11, 10**11 + 1000)
    source, number = mixture.assign(tree, samples)
    shuffled = np.random.default_rng(0).permutation(1000)
    again = mixture.assign(tree, samples[shuffled])
    np.testing.assert_array_equal(again[0], source[shuffled])
    np.testing.assert_array_equal(again[1], number[shuffled])
    assert abs(number[source == 0][0] / 10**11 - 0.7) < 1e-7
    assert np.bincount(source).tolist() == [700, 200, 100]
    with pytest.raises(ValueError):
        mixture.assign(tree, np.array([1 << 39]))


def test_rates():
    names, sizes = ["a", "b"], [1000, 10]
    by = lambda *a, **k: mixture.rates(names, [1, 1], sizes, *a, **k)
    np.testing.assert_allclose(by("rate"), [0.5, 0.5])
    np.testing.assert_allclose(by("size"), [1000 / 1010, 10 / 1010])
    np.testing.assert_allclose(by("size", maximum=30), [0.75, 0.25])
    # mT5: p ~ size^0.3 (Xue et al. 2021).
    np.testing.assert_allclose(
        by("temperature", 1 / 0.3), [100**0.3 / (100**0.3 + 1)] + [1 / (100**0.3 + 1)]
    )
    # SeqIO's rate_num_examples: the cap comes first.
    np.testing.assert_allclose(by("temperature", 2.0, maximum=40), [2 / 3, 1 / 3])
    np.testing.assert_allclose(mixture.rates(names, [3, 1], [5, 15], "size"), [0.5, 0.5])


@pytest.mark.parametrize(
    "sizes, budget, epochs, given",
    [
        # 60 in three: the smallest has 5, so the others share 55, of which the second has 20.
        ([5, 100, 20], 60, 1, [5, 35, 20]),
        # At most twice each: 10 of the smallest, then 25 for each.
        ([5, 100, 20], 60, 2, [10, 25, 25]),
        # Enough of all: even.
        ([500, 100, 200], 60, 1, [20, 20, 20]),
        # The budget is more than everything: sizes, and 875 are left over.
        ([5, 100, 20], 1000, 1, [5, 100, 20]),
        ([7], 3, 1, [3]),
        # Ties in order; a part of an epoch.
        ([8, 8, 100], 30, 0.5, [4, 4, 22]),
    ],
)
def test_unimax_by_hand(sizes, budget, epochs, given):
    np.testing.assert_allclose(mixture.unimax(sizes, budget, epochs), given)
    names = [f"c{i}" for i in range(len(sizes))]
    shares = mixture.rates(names, [1.0] * len(sizes), sizes, "unimax", budget=budget, epochs=epochs)
    np.testing.assert_allclose(shares, np.array(given) / sum(given))


def test_unimax_is_the_fill_level_of_capped_vessels():
    """Another way to the same: all are filled to one level, or to their caps where those are lower."""
    sizes = np.random.default_rng(0).lognormal(8, 3, 107)
    given = mixture.unimax(sizes, 0.3 * sizes.sum(), 1.0)
    low, high = 0.0, sizes.max()
    for _ in range(200):
        level = (low + high) / 2
        over = np.minimum(sizes, level).sum() > 0.3 * sizes.sum()
        low, high = (low, level) if over else (level, high)
    np.testing.assert_allclose(given, np.minimum(sizes, level), rtol=1e-9)
    assert 0 < (given == sizes).sum() < 107


def test_a_share_of_nothing_is_named():
    with pytest.raises(UserError, match="corpus 'tiny' has a share of 1.0e-09"):
        mixture.split_tree(["big", "tiny"], [1 - 1e-9, 1e-9])
    with pytest.raises(UserError, match="corpus 'b' has rate 0"):
        mixture.rates(["a", "b"], [1, 1], [4, 0], "size")


def test_shares_are_kept_to_a_part_in_millions():
    shares = np.array([0.9, 0.0999, 0.0001])
    source, _ = mixture.assign(tree_of(shares), np.arange(4_000_000))
    np.testing.assert_allclose(np.bincount(source) / 4e6, shares, atol=1e-6)
