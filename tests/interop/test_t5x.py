"""T5X checkpoints as T5X writes them, plain and scanned, give the leaves that Hugging Face's do."""

import numpy as np
import pytest
from flax import serialization

from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.opening import is_published, open_published
from tests.published_files import CONFIG, scanned, t5x_target, write_huggingface, write_t5x


def both(tmp_path, changes=None, **options):
    """Returns (the model as Hugging Face has it, its tensors as T5X's tree)."""
    tensors = write_huggingface(tmp_path / "hf", changes, **options)
    found = huggingface.open_directory(str(tmp_path / "hf"))
    return found, t5x_target(tensors, {**CONFIG, **(changes or {})})


def same(found, want):
    for path, leaf in want.leaves.items():
        np.testing.assert_array_equal(found.leaves[path].whole(), leaf.whole(), str(path))
        part = tuple(slice(size // 2, None) for size in leaf.shape)
        np.testing.assert_array_equal(found.leaves[path].at(part), leaf.whole()[part])


@pytest.mark.parametrize("tensorstore", [True, False], ids=["tensorstore", "msgpack"])
def test_plain_layers(tmp_path, tensorstore):
    want, target = both(tmp_path)
    write_t5x(tmp_path / "t5x", target, tensorstore=tensorstore)
    write_t5x(tmp_path / "t5x", t5x_target(write_huggingface(tmp_path / "o"), CONFIG), step=3)
    where = tmp_path / "t5x"
    for path in (where, where / "checkpoint_7", where / "checkpoint_7" / "checkpoint"):
        assert is_published(str(path))
        found = open_published(str(path))
        assert found.arch.dropout == 0 and found.tokenizer is None
        assert {**vars(found.arch), "dropout": 0.1} == vars(want.arch)
        same(found, want)
    assert "checkpoint_3/" in open_published(str(where), step=3).where
    with pytest.raises(UserError, match=r"--step=5: .* holds 3, 7"):
        open_published(str(where), step=5)


def test_scanned_layers_with_heads_apart(tmp_path):
    """examples/scalable_t5, of which umT5 is: [embed, layers, heads, kv], a bias in every layer."""
    want, target = both(tmp_path, {"model_type": "umt5"}, per_layer=True)
    target = scanned(target, heads=2)
    kernel = target["decoder"]["decoder"]["self_attention"]["out"]["kernel"]
    assert kernel.shape == (2, 2, 4, 16)  # heads, layers, kv, embed
    write_t5x(tmp_path / "t5x", target)
    found = open_published(str(tmp_path / "t5x"))
    assert found.arch.relative_bias == "per_layer" and found.arch.encoder_layers == 3
    assert found.arch.head_dim == 4
    same(found, want)


def test_v1_0_is_tied_and_scaled(tmp_path):
    changes = {"feed_forward_proj": "relu", "tie_word_embeddings": None}
    want, target = both(tmp_path, changes, tied=True)
    write_t5x(tmp_path / "t5x", target)
    found = open_published(str(tmp_path / "t5x"))
    assert {**vars(found.arch), "dropout": 0.1} == vars(want.arch)
    same(found, want)


def test_what_no_shape_tells_is_said(tmp_path):
    _, target = both(tmp_path)
    write_t5x(tmp_path / "t5x", target)
    assert open_published(str(tmp_path / "t5x"), "ul2").arch.activation == "silu"
    with pytest.raises(UserError, match=r"--family=ul3: .*\(did you mean 'ul2'\?\)"):
        open_published(str(tmp_path / "t5x"), "ul3")


def test_what_does_not_fit_is_listed_by_name(tmp_path):
    _, target = both(tmp_path)
    del target["encoder"]["layers_1"]["mlp"]["wi_0"]
    target["decoder"]["layers_0"]["adapter"] = {"kernel": np.zeros(3, np.float32)}
    target["decoder"]["layers_1"]["self_attention"]["key"]["kernel"] = np.zeros((16, 9), np.float32)
    write_t5x(tmp_path / "t5x", target)
    with pytest.raises(UserError) as error:
        open_published(str(tmp_path / "t5x"))
    message = str(error.value)
    assert "\n" not in message
    assert "missing: encoder/layers_1/mlp/wi_0/kernel" in message
    assert "unknown: decoder/layers_0/adapter/kernel" in message
    assert "decoder/layers_1/self_attention/key/kernel [16, 9], not [16, 8]" in message


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    _, target = both(tmp_path)
    write_t5x(tmp_path / "t5x", target)
    file = tmp_path / "t5x" / "checkpoint_7" / "checkpoint"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is no msgpack file .* cut short .it ends too early."):
        open_published(str(file))
    file.write_bytes(serialization.msgpack_serialize({"params": {"kernel": np.zeros(3)}}))
    with pytest.raises(UserError, match="is no T5X checkpoint"):
        open_published(str(file))
    file.write_bytes(b"model_checkpoint_path: 'model.ckpt-0'\n")
    with pytest.raises(UserError, match="neither a run of t2t, a Hugging Face directory nor a T5X"):
        open_published(str(file))
    file.write_bytes(whole)
    zarr = tmp_path / "t5x" / "checkpoint_7" / "target.encoder.encoder_norm.scale"
    (zarr / ".zarray").unlink()
    with pytest.raises(UserError, match="encoder_norm/scale: its array .* is not there"):
        open_published(str(file))
