"""Pickled weights are read without torch and without running anything that they ask for."""

import os
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from t2t.errors import UserError
from t2t.interop import torch_pickle


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(kind: str, key: str, count: int) -> bytes:
    return (
        b"("
        + text("storage")
        + b"ctorch\n"
        + kind.encode()
        + b"\n"
        + text(key)
        + (text("cpu") + number(count) + b"tQ")
    )


def tensor(kind: str, key: str, count: int, offset: int, shape, strides) -> bytes:
    """The opcodes that torch.save writes for one tensor."""
    arguments = storage(kind, key, count) + number(offset) + numbers(shape) + numbers(strides)
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + hooks + b"tR"


def table(entries: dict[str, bytes], extra: bytes = b"") -> bytes:
    items = b"".join(text(name) + value for name, value in entries.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u" + extra + b"."


def archive(path, content: bytes, members: dict[str, bytes], folder: str = "archive") -> str:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{folder}/data.pkl", content)
        for key, data in members.items():
            file.writestr(f"{folder}/data/{key}", data)
        file.writestr(f"{folder}/version", "3\n")
    return str(path)


def refused(path) -> str:
    with pytest.raises(UserError) as error:
        torch_pickle.open_file(str(path))
    message = str(error.value)
    assert "\n" not in message and message.startswith(str(path))
    return message


def test_tensors_of_every_type_and_layout(tmp_path):
    single = np.arange(24, dtype=np.float32)
    brain = np.arange(6).astype(ml_dtypes.bfloat16)
    entries = {
        "plain": tensor("FloatStorage", "0", 24, 0, (4, 6), (6, 1)),
        "transposed": tensor("FloatStorage", "0", 24, 0, (6, 4), (1, 6)),
        "offset": tensor("FloatStorage", "0", 24, 12, (2, 6), (6, 1)),
        "brain": tensor("BFloat16Storage", "1", 6, 0, (6,), (1,)),
        "scalar": tensor("FloatStorage", "0", 24, 5, (), ()),
        "parameter": b"ctorch._utils\n_rebuild_parameter\n("
        + tensor("FloatStorage", "0", 24, 0, (24,), (1,))
        + b"\x88ccollections\nOrderedDict\n)RtR",
    }
    # A state dict carries its modules' versions as an attribute of the dict.
    metadata = b"}" + text("_metadata") + b"}sb"
    members = {"0": single.tobytes(), "1": brain.tobytes()}
    path = archive(tmp_path / "w.bin", table(entries, metadata), members)
    found = torch_pickle.open_file(path)
    square = single.reshape(4, 6)
    want = {
        "plain": square, "transposed": square.T, "offset": square[2:], "brain": brain,
        "scalar": single[5], "parameter": single,
    }  # fmt: skip
    assert list(found) == list(entries)
    for name, array in want.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name].whole(), array)
    np.testing.assert_array_equal(
        found["transposed"].read((slice(2, 4), slice(1, 3))), square.T[2:4, 1:3]
    )


class Code:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def test_code_in_a_pickle_never_runs(tmp_path):
    mark = tmp_path / "ran"
    payloads = {
        "system": pickle.dumps({"x": Code(os.system, f"touch {mark}")}),
        "eval": pickle.dumps({"x": Code(eval, f"open({str(mark)!r}, 'w')")}),
        "exec": pickle.dumps([Code(exec, f"open({str(mark)!r}, 'w')")], protocol=0),
        "getattr": b"\x80\x02c__builtin__\ngetattr\n.",
        "stack_global": b"\x80\x04"
        + text("posix")
        + text("system")
        + b"\x93"
        + text(f"touch {mark}")
        + b"\x85R.",
        "import torch": b"\x80\x02ctorch.hub\nload\n.",
        "inst": b"(" + text(f"touch {mark}") + b"iposix\nsystem\n.",
        "dotted": b"\x80\x04" + text("collections") + text("OrderedDict.fromkeys") + b"\x93.",
        "extension": b"\x80\x02\x82\x01.",
    }
    for name, content in payloads.items():
        assert "refused" in refused(archive(tmp_path / f"{name}.bin", content, {})), name
        for entry in (content[2:-1] if content[:1] == b"\x80" else content[:-1],):
            hidden = table({"x": entry})  # behind a table that begins as weights do
            refused(archive(tmp_path / f"{name}.hidden.bin", hidden, {}))
    assert not mark.exists()


@pytest.mark.parametrize(
    "target",
    [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n"],
    ids=["function", "type"],
)
def test_a_pickle_changes_nothing_of_ours(tmp_path, target):
    """BUILD sets attributes, also of what a GLOBAL gave: of the reader's own stand-ins."""
    for state in (b"}" + text("_call") + b"Ns", b"N}" + text("dtype") + b"Ns\x86"):
        path = archive(tmp_path / "b.bin", b"\x80\x02" + target + state + b"b.", {})
        assert "changes objects" in refused(path)
    good = table({"x": tensor("FloatStorage", "0", 2, 0, (2,), (1,))})
    path = archive(tmp_path / "good.bin", good, {"0": np.float32([1, 2]).tobytes()})
    np.testing.assert_array_equal(torch_pickle.open_file(path)["x"].whole(), [1, 2])


def test_tensors_that_reach_past_their_data_are_refused(tmp_path):
    data = {"0": np.zeros(4, np.float32).tobytes()}
    for arguments in ((4, 1, (4,), (1,)), (4, 0, (4,), (2,)), (4, -1, (1,), (1,)), (4, 0, (2,), (-1,)),
                      (4, 0, (5,), (1,)), (4, 0, (2,), (1, 1))):  # fmt: skip
        content = table({"x": tensor("FloatStorage", "0", *arguments)})
        message = refused(archive(tmp_path / "x.bin", content, data))
        assert "x reaches past its data" in message or "x is not a tensor" in message
    content = table({"x": tensor("FloatStorage", "7", 1, 0, (1,), (1,))})
    assert "x reaches past" in refused(archive(tmp_path / "x.bin", content, data))
    assert "x is not a tensor" in refused(archive(tmp_path / "x.bin", table({"x": b"N"}), {}))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "w.bin"
    for content in (b"", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"PK\x03\x04 cut short"):
        path.write_bytes(content)
        assert "PyTorch 1.6" in refused(path)
    good = table({"x": tensor("FloatStorage", "0", 2, 0, (2,), (1,))})
    archive(path, good, {"0": np.float32([1, 2]).tobytes()})
    path.write_bytes(path.read_bytes()[:-30])
    refused(path)


@pytest.mark.slow
def test_what_torch_saves_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32)
    state = {
        "a": base.reshape(4, 6),
        "view": base.reshape(4, 6).T[1:3],
        "half": base.half(),
        "brain": base.bfloat16().reshape(2, 12),
        "ids": torch.arange(5),
        "parameter": torch.nn.Parameter(base.double()),
    }
    torch.save(state, tmp_path / "w.bin")
    found = torch_pickle.open_file(str(tmp_path / "w.bin"))
    for name, want in state.items():
        got = found[name].whole()
        assert got.shape == tuple(want.shape)
        np.testing.assert_array_equal(got.astype(np.float64), want.detach().double().numpy())
    linear = torch.nn.Linear(3, 4)
    torch.save(linear.state_dict(), tmp_path / "w.bin")
    found = torch_pickle.open_file(str(tmp_path / "w.bin"))
    np.testing.assert_array_equal(found["weight"].whole(), linear.weight.detach().numpy())
    torch.save(linear, tmp_path / "whole.bin")  # a module, not weights
    refused(tmp_path / "whole.bin")
    torch.save(state, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    assert "PyTorch 1.6" in refused(tmp_path / "old.bin")
