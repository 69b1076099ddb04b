"""Rows of any lengths in batches of like lengths."""

import jax
import numpy as np
import pytest

from t2t.decoding.batches import batches, bucket, padded


def test_a_bucket_wastes_little_and_there_are_few():
    shapes = {bucket(n) for n in range(1, 1025)}
    assert sorted(shapes) == [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
    assert all(n <= bucket(n) <= max(32, 1.5 * n) for n in range(1, 1025))
    assert [bucket(n, shortest=1) for n in range(1, 10)] == [1, 2, 3, 4, 6, 6, 8, 8, 12]


@pytest.mark.parametrize("parts", [1, 4])
def test_every_row_stands_once_among_rows_of_like_length(parts):
    mesh = None
    if parts > 1:
        axes = ("replica", "data", "expert", "fsdp")
        mesh = jax.make_mesh((1, 2, 1, 2), axes, devices=jax.devices()[:4])
    lengths = np.random.default_rng(0).integers(1, 500, 203).tolist()
    made = batches(lengths, 10, mesh)
    assert sorted(i for batch in made for i in batch.indices) == list(range(203))
    size = 10 if parts == 1 else 12
    assert [len(batch.filled) for batch in made[:-1]] == [size] * (len(made) - 1)
    last = made[-1]
    assert len(last.filled) % parts == 0 and len(last.filled) < 2 * max(len(last.indices), parts)
    assert all(set(batch.filled) == set(batch.indices) for batch in made)
    assert [batch.length for batch in made] == sorted((b.length for b in made), reverse=True)
    tokens = sum(len(batch.filled) * batch.length for batch in made)
    assert tokens < 1.35 * sum(lengths)  # together in the order given it would be over twice


def test_padding_is_no_segment():
    batch = padded([np.array([5, 6, 1]), np.array([7])], 4)
    assert batch["tokens"].tolist() == [[5, 6, 1, 0], [7, 0, 0, 0]]
    assert batch["segments"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
