"""Fingerprints: the same on any mesh, and every single flipped bit changes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from t2t.training.fingerprints import (
    differing,
    fingerprint,
    fingerprint_of_run,
    fingerprints,
)

BITS = {
    "float32": 32,
    "bfloat16": 16,
    "float16": 16,
    "int32": 32,
    "uint8": 8,
    "int8": 8,
    "float8_e4m3fn": 8,
}


def plain(words: np.ndarray) -> int:
    """The definition in Python integers, element by element."""
    total = 0
    for i, bits in enumerate(words.ravel().tolist()):
        h = bits ^ (i * 0x9E3779B1 % 2**32)
        h = (h ^ (h >> 16)) * 0x7FEB352D % 2**32
        h = (h ^ (h >> 15)) * 0x846CA68B % 2**32
        total += h ^ (h >> 16)
    return total % 2**32


def random_array(dtype: str, shape=(6, 8, 4)):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape) * 40).astype(dtype)


@pytest.mark.parametrize("dtype", BITS)
def test_equals_the_definition(dtype):
    x = random_array(dtype)
    want = plain(np.asarray(x).view(f"u{BITS[dtype] // 8}"))
    assert int(fingerprint(x)) == want
    assert fingerprints({"x": x}) == {"x": want}
    for block in (1, 40, 64, 191):  # in pieces of one, one, two and three rows
        assert int(fingerprint(x, block=block)) == want


@pytest.mark.parametrize("dtype", BITS)
def test_every_single_bit_flip_is_seen(dtype):
    bits = BITS[dtype]
    x = np.asarray(random_array(dtype, (5, 3)))
    whole = int(fingerprint(jnp.asarray(x)))
    flipped = []
    for i in range(15):
        for b in range(bits):
            y = x.copy()
            y.view(f"u{bits // 8}").reshape(-1)[i] ^= 1 << b
            flipped.append(y)
    found = jax.jit(jax.vmap(fingerprint))(jnp.asarray(np.stack(flipped)))
    assert whole not in np.asarray(found).tolist()


@pytest.mark.parametrize(
    "x",
    [
        np.arange(10) % 3 == 0,
        np.arange(6, dtype=np.complex64) * (1 + 2j),
        np.float32(3.0),
        np.zeros((0, 4), np.float32),
        np.arange(4, dtype=np.int16),
    ],
    ids=str,
)
def test_other_dtypes_and_shapes(x):
    x = jnp.asarray(x)
    value = int(fingerprint(x))
    if x.size:
        assert value != int(fingerprint((~x if x.dtype == bool else x + 1).astype(x.dtype)))


def test_eight_byte_elements():
    with jax.enable_x64(True):
        for x in (np.random.default_rng(0).normal(size=(3, 5)), np.arange(7) << 40):
            x = jnp.asarray(x)
            assert x.dtype.itemsize == 8
            assert int(fingerprint(x)) == plain(np.asarray(x).view("u4"))


def test_prng_keys_by_their_words():
    keys = jax.random.split(jax.random.key(3), 5)
    assert int(fingerprint(keys)) == plain(np.asarray(jax.random.key_data(keys)))


def test_flipped_signs_and_exchanged_elements_are_seen():
    """A sum linear in the bits would miss any even number of flipped sign bits."""
    x = random_array("float32", (64, 32))
    assert int(fingerprint(x)) != int(fingerprint(-x))
    assert int(fingerprint(x)) != int(fingerprint(x[::-1]))
    assert int(fingerprint(x)) != int(fingerprint(x.at[0, 0].set(x[0, 1]).at[0, 1].set(x[0, 0])))


def test_the_same_on_every_mesh():
    x = {"a": random_array("float32", (16, 8)), "b": random_array("bfloat16", (8, 4, 6))}
    want = fingerprints(x)
    for shape, specs in [((8,), ("x", None)), ((2, 4), (("x", "y"), None)), ((4, 2), ("y", "x"))]:
        mesh = jax.make_mesh(
            shape, ("x", "y")[: len(shape)], axis_types=(AxisType.Auto,) * len(shape)
        )
        put = lambda v, mesh=mesh, specs=specs: jax.device_put(
            v, NamedSharding(mesh, PartitionSpec(*specs))
        )
        sharded = {"a": put(x["a"]), "b": put(x["b"])}
        assert fingerprints(sharded) == want
    assert list(differing(want, want)) == []
    assert list(differing(want, {**want, "b": want["b"] ^ 1})) == ["b"]


def test_index_wraps_beyond_two_to_the_32():
    """Traced only: an array of 2^33 elements has an in-range index for every element."""
    shape = jax.eval_shape(fingerprint, jax.ShapeDtypeStruct((2**20, 2**13), jnp.float32))
    assert shape.shape == () and shape.dtype == jnp.uint32


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_runs_of_an_array_add_up_to_its_fingerprint(dtype):
    array = np.random.default_rng(0).normal(size=(7, 11, 41)).astype(jnp.dtype(dtype))
    flat, total = array.reshape(-1), 0
    for start, stop in ((0, 1), (1, 1400), (1400, flat.size)):
        total += fingerprint_of_run(flat[start:stop], start)
    assert total % 2**32 == fingerprints({"x": jnp.asarray(array)})["x"]
