"""Buckets against the published table; the Toeplitz layout against plain indexing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.models.families import t5
from t2t.models.parameters import Declare
from t2t.models.positions import RelativeBias, relative_bucket, toeplitz

# First distance of every bucket, from T5X's table (32 buckets, up to 128).
ENCODER_STARTS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]
DECODER_STARTS = [*range(16), 16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]


def golden(starts, distance):
    return max(i for i, start in enumerate(starts) if distance >= start)


def test_buckets_equal_the_published_table():
    distances = np.arange(-600, 601)
    both = [golden(ENCODER_STARTS, abs(d)) + (16 if d > 0 else 0) for d in distances]
    np.testing.assert_array_equal(relative_bucket(distances, True, 32, 128), both)
    past = [golden(DECODER_STARTS, max(-d, 0)) for d in distances]
    np.testing.assert_array_equal(relative_bucket(distances, False, 32, 128), past)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (5, 3), (7, 7)])
def test_toeplitz_equals_indexing(rows, columns):
    diagonals = np.random.default_rng(0).normal(size=(2, rows + columns - 1)).astype(np.float32)
    index = np.arange(columns)[None] - np.arange(rows)[:, None] + rows - 1
    np.testing.assert_array_equal(toeplitz(diagonals, rows, columns), diagonals[:, index])
    # Each diagonal's gradient is the sum over the diagonal.
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(2, rows, columns)), jnp.float32)
    gradient = jax.grad(lambda d: jnp.sum(toeplitz(d, rows, columns) * weights))(diagonals)
    want = np.zeros_like(diagonals)
    np.add.at(want, (slice(None), index), np.asarray(weights))
    np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_bias_of_a_later_query_is_a_row_of_the_whole(bidirectional):
    arch = t5.architecture("small", heads=3)
    bias = RelativeBias(arch, Declare(jax.random.key(0)), bidirectional)
    whole = np.asarray(bias(1, 150, 150))
    assert whole.shape == (1, 3, 150, 150)
    distance = np.arange(150)[None] - np.arange(150)[:, None]
    table = np.asarray(bias.table[...])
    np.testing.assert_array_equal(
        whole[0], table[:, relative_bucket(distance, bidirectional, 32, 128)]
    )
    later = jax.jit(lambda first: bias(1, 2, 150, first))
    for first in (0, 1, 77, 148):
        np.testing.assert_array_equal(later(first), whole[:, :, first : first + 2])
