"""Arrays of flax.serialization's files read in parts; whatever is damaged is one line."""

import ml_dtypes
import numpy as np
import pytest
from flax import serialization

from t2t.errors import UserError
from t2t.interop import flax_msgpack
from t2t.interop.stored_tensor import StoredTensor


def tree() -> dict:
    rng = np.random.default_rng(0)
    arrays = {
        "large": rng.normal(size=(5, 7, 6)).astype(np.float32),
        "narrow": rng.normal(size=(40, 3)).astype(ml_dtypes.bfloat16),
        "empty": np.zeros((0, 4), np.float64),
        "scalar": np.array(3.5),
        "number": np.int32(-7),
    }
    plain = {"step": 70_000, "minus": [-1, -40, -70_000], "text": "naïve" * 20, "none": None}
    plain |= {"yes": True, "real": 1.5, "wide": list(range(20)), "large": 1 << 40}
    return {"a": arrays, "b": {"c": plain, "d": arrays["large"] + 1}, "raw": b"xy" * 300, "z": 1j}


@pytest.fixture(params=[1 << 30, 100], ids=["whole", "in pieces"])
def file(request, monkeypatch, tmp_path):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", request.param)
    (tmp_path / "checkpoint").write_bytes(serialization.msgpack_serialize(tree()))
    return tmp_path / "checkpoint"


def test_parts_are_those_of_the_arrays(file):
    found, want = flax_msgpack.index(str(file)), tree()
    assert found["b"]["c"] == want["b"]["c"]
    assert found["raw"] is None and found["z"] is None
    rng = np.random.default_rng(1)
    for one, array in [(found["a"][k], v) for k, v in want["a"].items()] + [
        (found["b"]["d"], want["b"]["d"])
    ]:
        assert isinstance(one, StoredTensor) and one.dtype == array.dtype
        assert one.shape == array.shape
        np.testing.assert_array_equal(one.whole(), array)
        for _ in range(20):
            ends = [np.sort(rng.integers(0, size + 1, 2)) for size in array.shape]
            part = tuple(slice(int(a), int(b)) for a, b in ends)
            np.testing.assert_array_equal(one.read(part), np.asarray(array)[part])


def test_nothing_but_headers_is_read(file, monkeypatch):
    taken = []
    take = flax_msgpack._take
    monkeypatch.setattr(flax_msgpack, "_take", lambda f, n: taken.append(n) or take(f, n))
    flax_msgpack.index(str(file))
    assert sum(taken) < file.stat().st_size - 840 * 2  # all but the two large arrays' numbers


def test_a_file_cut_anywhere_is_one_line(file):
    whole = file.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match="cut short") as error:
            flax_msgpack.index(str(file))
        assert "\n" not in str(error.value)
    file.write_bytes(whole + b"\0")
    with pytest.raises(UserError, match="something follows the end"):
        flax_msgpack.index(str(file))


def test_a_changed_byte_is_read_as_what_it_says_or_is_one_line(file):
    whole, rng = file.read_bytes(), np.random.default_rng(2)
    refused = 0
    for place in rng.integers(0, len(whole), 400):
        data = bytearray(whole)
        data[place] = rng.integers(256)
        file.write_bytes(data)
        try:
            flax_msgpack.index(str(file))
        except UserError:
            refused += 1
    assert refused > 20
