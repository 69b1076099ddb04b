"""Counts of a store's tokens, whole and sampled."""

import numpy as np
import pytest

from t2t.data.token_counts import token_counts


class Flat:
    """A store of tokens in memory."""

    def __init__(self, tokens):
        self.tokens, self.num_tokens, self.read = tokens, len(tokens), 0

    def read_flat(self, begin, end):
        self.read += end - begin
        return self.tokens[begin:end]


@pytest.fixture
def stores():
    rng = np.random.default_rng(0)
    return [Flat(np.minimum(rng.geometric(0.2, size), 29)) for size in (5_000, 100_001)]


def counts_of(stores, **more):
    return np.frombuffer(token_counts(stores, 32, **more))


def test_small_stores_are_counted_whole(stores):
    expected = sum(np.bincount(store.tokens, minlength=32) for store in stores)
    np.testing.assert_array_equal(counts_of(stores, piece=64), expected)


def test_large_stores_are_sampled_all_over_and_scaled(stores):
    stores[1].tokens = np.sort(stores[1].tokens)  # a sample of the beginning alone would show
    expected = sum(np.bincount(store.tokens, minlength=32) for store in stores)
    found = counts_of(stores, most=10_000, piece=50)
    assert stores[1].read <= 10_000
    assert found.sum() == pytest.approx(105_001)
    np.testing.assert_allclose(found, expected, atol=1_100)  # two pieces, scaled
