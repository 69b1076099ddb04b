"""The counter hash, the keyed bijection and the batch schedule."""

import numpy as np
import pytest

from t2t.data import order


def test_bits_are_a_function_of_seed_purpose_sample_and_place():
    samples = np.array([0, 5, 1 << 40, 7], np.int64)
    bits = order.random_bits(1, "a", samples, 9)
    assert bits.dtype == np.uint32 and bits.shape == (4, 9)
    np.testing.assert_array_equal(order.random_bits(1, "a", samples[::-1], 9), bits[::-1])
    np.testing.assert_array_equal(order.random_bits(1, "a", samples[2:3], 4), bits[2:3, :4])
    for other in (order.random_bits(2, "a", samples, 9), order.random_bits(1, "b", samples, 9)):
        assert not np.isin(other, bits).any()
    assert order.random_bits(1, "a", samples, 0).shape == (4, 0)
    assert order.random_bits(1, "a", samples[:0], 3).shape == (0, 3)


def test_bits_are_the_same_for_ever():
    """A saved run must find its samples again: these values may never change."""
    bits = order.random_bits(0, "train", np.array([0, 1]), 3)
    assert bits.tolist() == [
        [718607766, 845536148, 3377928006],
        [981010224, 2651300265, 1434343142],
    ]
    assert order.permute(np.arange(10), 10, 12345).tolist() == [9, 0, 1, 2, 7, 3, 4, 8, 5, 6]


def test_bits_look_random():
    """Each bit half the time, neighbours in sample and place unrelated, bytes uniform."""
    bits = order.random_bits(3, "x", np.arange(4096), 64)
    unpacked = np.unpackbits(bits.view(np.uint8).reshape(4096, 64, 4), axis=2)
    n = 4096 * 64
    assert np.abs(unpacked.reshape(n, 32).mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(n)
    for shifted in (bits[1:] ^ bits[:-1], bits[:, 1:] ^ bits[:, :-1]):
        ones = np.unpackbits(np.ascontiguousarray(shifted).view(np.uint8)).mean()
        assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(shifted.size * 32)
    counts = np.bincount(bits.reshape(-1) >> 24, minlength=256)
    assert abs(((counts - n / 256) ** 2 / (n / 256)).sum() - 255) < 5 * np.sqrt(2 * 255)
    other = order.random_bits(4, "x", np.arange(4096), 64)
    ones = np.unpackbits((bits ^ other).view(np.uint8)).mean()
    assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(n * 32)
    assert len(np.unique(bits)) > n * 0.9999


def test_below_stays_below_and_is_uniform():
    bits = order.random_bits(0, "below", np.arange(60000), 1)[:, 0]
    drawn = order.below(bits, 6)
    assert drawn.min() == 0 and drawn.max() == 5
    counts = np.bincount(drawn)
    assert ((counts - 10000.0) ** 2 / 10000).sum() < 25
    assert order.below(np.array([2**32 - 1], np.uint32), 7).tolist() == [6]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10, 16, 17, 99, 100, 101, 1000, 4097])
def test_permute_is_a_bijection(size):
    for key in (0, 1, 2**63, 987654321):
        assert sorted(order.permute(np.arange(size), size, key).tolist()) == list(range(size))


def test_permute_of_a_huge_range():
    size = 10**15 + 7
    index = np.concatenate([np.arange(1000), size - 1 - np.arange(1000)])
    moved = order.permute(index, size, 5)
    assert moved.min() >= 0 and moved.max() < size and len(np.unique(moved)) == 2000
    assert moved.max() > 0.99 * size and moved.min() < 0.01 * size


def test_permute_takes_a_key_for_each_element():
    keys = np.array([3, 3, 8], np.uint64)
    together = order.permute(np.array([0, 1, 0]), 50, keys)
    assert together[:2].tolist() == order.permute(np.array([0, 1]), 50, 3).tolist()
    assert together[2] == order.permute(np.array([0]), 50, 8)[0]


def test_permutations_are_spread():
    """Where 2 neighbours of 8 go, over 20,000 keys: all 56 pairs equally often (chi-square)."""
    keys = order.hash_of(0, "keys", np.arange(20000))
    first = order.permute(np.zeros(20000, np.int64), 8, keys)
    second = order.permute(np.ones(20000, np.int64), 8, keys)
    counts = np.bincount(first * 8 + second, minlength=64).reshape(8, 8)
    assert np.trace(counts) == 0
    pairs = counts[~np.eye(8, dtype=bool)]
    expected = 20000 / 56
    assert ((pairs - expected) ** 2 / expected).sum() < 55 + 5 * np.sqrt(2 * 55)


def test_permute_leaves_no_order_behind():
    moved = order.permute(np.arange(10000), 10000, 77)
    assert abs(np.corrcoef(np.arange(10000), moved)[0, 1]) < 0.05
    assert abs(np.corrcoef(moved[1:], moved[:-1])[0, 1]) < 0.05
    with pytest.raises(ValueError):
        order.permute(np.array([5]), 5, 0)


def walked(pieces, steps):
    """The first sample and size of each step, by walking."""
    first, result = 0, []
    for step in range(steps):
        size = [size for begin, size in pieces if begin <= step][-1]
        result.append((first, size))
        first += size
    return result


def test_sample_range_equals_walking():
    for pieces in (((0, 4),), ((0, 4), (3, 8), (10, 2)), ((0, 1), (1, 5))):
        assert [order.sample_range(pieces, s) for s in range(20)] == walked(pieces, 20)


def test_continue_schedule_takes_every_sample_once():
    rng = np.random.default_rng(0)

    def random_pieces():
        steps = sorted({0, *rng.integers(1, 30, 3).tolist()})
        return tuple((s, int(rng.integers(1, 9))) for s in steps)

    for _ in range(200):
        old, new, step = random_pieces(), random_pieces(), int(rng.integers(0, 40))
        joined = order.continue_schedule(old, new, step)
        ranges = walked(joined, 50)
        assert [order.sample_range(joined, s) for s in range(50)] == ranges
        assert ranges[:step] == walked(old, step)
        assert [size for _, size in ranges[step:]] == [s for _, s in walked(new, 50)[step:]]
    assert order.continue_schedule(((0, 4), (3, 8)), ((0, 4), (3, 8)), 5) == ((0, 4), (3, 8))
    assert order.continue_schedule(((0, 4),), ((0, 8),), 0) == ((0, 8),)


@pytest.mark.parametrize("pieces", [(), ((1, 4),), ((0, 4), (0, 8)), ((0, 0),)])
def test_wrong_schedules(pieces):
    with pytest.raises(ValueError):
        order.sample_range(pieces, 0)
