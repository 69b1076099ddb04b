"""What is written the safetensors library reads; what is cut short or strange is refused."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from t2t.errors import UserError
from t2t.interop import safetensors_files
from t2t.interop.stored_tensor import of_array

TENSORS = {
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "wide": np.linspace(0, 1, 35).reshape(5, 7),
    "brain": np.arange(-8, 8).reshape(4, 4).astype(ml_dtypes.bfloat16),
    "single": np.float32([[1.5], [2.5]]),
    "number": np.array(3, np.int64),
}


def views(tensors):
    return {name: of_array(tensor) for name, tensor in tensors.items()}


def test_one_file_is_read_by_the_library(tmp_path):
    safetensors_files.write(str(tmp_path), views(TENSORS), 10**9)
    found = load_file(tmp_path / "model.safetensors")
    assert set(found) == set(TENSORS) and len(list(tmp_path.iterdir())) == 1
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


def test_slices_of_what_the_library_wrote(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors")
    found = safetensors_files.open_files([str(tmp_path / "a.safetensors")])
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name].whole(), tensor)
        assert found[name].dtype == found[name].whole().dtype == tensor.dtype
    index = (slice(1, 3), slice(2, 4))
    np.testing.assert_array_equal(found["brain"].read(index), TENSORS["brain"][index])


def test_shards_and_their_index(tmp_path):
    safetensors_files.write(str(tmp_path), views(TENSORS), 100)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in TENSORS.values())
    files = set(index["weight_map"].values())
    assert len(files) == 3  # 12 bytes, then 280 alone, then the rest
    for name, file in index["weight_map"].items():
        np.testing.assert_array_equal(load_file(tmp_path / file)[name], TENSORS[name])
    paths = safetensors_files.indexed_files(str(tmp_path), "model.safetensors.index.json")
    assert set(safetensors_files.open_files(paths)) == set(TENSORS)
    (tmp_path / sorted(files)[0]).unlink()
    with pytest.raises(UserError, match="00001-of-00003.safetensors, which is not there"):
        safetensors_files.indexed_files(str(tmp_path), "model.safetensors.index.json")


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", 3, ""])
def test_an_index_leads_nowhere_else(tmp_path, name):
    (tmp_path / "i.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(UserError, match=r"i\.json"):
        safetensors_files.indexed_files(str(tmp_path), "i.json")


def test_a_file_cut_anywhere_is_refused_in_one_line(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    for length in (0, 5, 8, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b.safetensors").write_bytes(whole[:length])
        with pytest.raises(UserError, match="is not a whole safetensors file") as error:
            safetensors_files.open_files([str(tmp_path / "b.safetensors")])
        assert "\n" not in str(error.value)


def test_a_tensor_in_two_files_is_refused(tmp_path):
    for name in "ab":
        save_file({"x": np.zeros(2, np.float32)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(UserError, match="x stands in another file too"):
        safetensors_files.open_files([str(tmp_path / f"{name}.safetensors") for name in "ab"])
