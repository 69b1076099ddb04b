"""Hugging Face directories in and out: what the tensors say, and what is refused by name."""

import json
import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from t2t.data.tokenizer_config import Bytes, SentencePiece, Subwords
from t2t.data.tokenizers import ByteTokenizer, SentencePieceTokenizer
from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.huggingface_tokenizer import find
from t2t.interop.opening import is_published
from t2t.interop.published import cast, parameters
from t2t.models.architecture import Architecture
from t2t.models.transformer import build
from t2t.parallel.mesh import make_mesh
from t2t.parallel.mesh_config import Mesh
from t2t.parallel.sharding import shardings
from tests.published_files import CONFIG, huggingface_tensors, write_huggingface


def test_every_tensor_lands_in_its_place(tmp_path):
    tensors = write_huggingface(tmp_path)
    found = huggingface.open_directory(str(tmp_path))
    assert found.arch == Architecture(
        vocab_size=384, d_model=16, heads=2, head_dim=4, d_ff=24, encoder_layers=3,
        decoder_layers=2, activation="gelu_tanh", gated=True, dropout=0.1,
    )  # fmt: skip
    assert found.tokenizer == Bytes(125) and found.family == "t5" and is_published(str(tmp_path))
    assert sum(leaf.nbytes for leaf in found.leaves.values()) == sum(
        tensor.nbytes for tensor in tensors.values()
    )

    def leaf(name):
        return found.leaves[tuple(name.split("/"))].whole()

    for i in range(2):
        at = f"decoder.block.{i}.layer"
        for ours, theirs in {
            "self_attention/query": "0.SelfAttention.q",
            "cross_attention/out": "1.EncDecAttention.o",
            "feed_forward/wi_1": "2.DenseReluDense.wi_1",
        }.items():
            kernel = leaf(f"decoder/layers/{ours}/kernel")[i]
            np.testing.assert_array_equal(kernel, tensors[f"{at}.{theirs}.weight"].T)
        scale = leaf("decoder/layers/pre_cross_attention_norm/scale")[i]
        np.testing.assert_array_equal(scale, tensors[f"{at}.1.layer_norm.weight"])
    table = tensors["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    np.testing.assert_array_equal(leaf("encoder/relative_bias/table"), table.T)
    np.testing.assert_array_equal(leaf("lm_head/kernel"), tensors["lm_head.weight"].T)


def copy_head(tensors):
    tensors["lm_head.weight"] = tensors["shared.weight"].copy()


@pytest.mark.parametrize(
    ("changes", "options", "tied", "scaled"),
    [
        # v1.0, whose config.json says nothing of either
        ({"tie_word_embeddings": None, "feed_forward_proj": "relu"}, {"tied": True}, True, True),
        # v1.1 as published, and as transformers 5 saves it again
        ({}, {}, False, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, {}, False, False),
        ({"tie_word_embeddings": True}, {}, False, False),
        # a head that is the table is no head
        ({"tie_word_embeddings": True}, {"edit": copy_head}, True, True),
        ({}, {"edit": copy_head}, True, False),
        ({"model_type": "mt5", "tie_word_embeddings": True}, {}, False, False),
        ({"model_type": "mt5", "tie_word_embeddings": True}, {"tied": True}, True, False),
        ({"model_type": "umt5"}, {"per_layer": True}, False, False),
    ],
)
def test_tensors_decide_what_flags_say_wrongly(tmp_path, changes, options, tied, scaled):
    write_huggingface(tmp_path, changes, **options)
    arch = huggingface.open_directory(str(tmp_path)).arch
    assert (arch.tied_embedding, arch.scaled_logits) == (tied, scaled)
    assert (arch.relative_bias == "per_layer") == (changes.get("model_type") == "umt5")


def test_umt5_as_published_names_no_family(tmp_path):
    changes = {"model_type": None, "architectures": ["UMT5ForConditionalGeneration"]}
    write_huggingface(tmp_path, changes, per_layer=True)
    assert huggingface.open_directory(str(tmp_path)).family == "umt5"
    write_huggingface(tmp_path, {**changes, "architectures": None}, per_layer=True)
    with pytest.raises(UserError, match="names no model_type; say it by --family"):
        huggingface.open_directory(str(tmp_path))
    assert huggingface.open_directory(str(tmp_path), "umt5").arch.relative_bias == "per_layer"


def test_old_names_copies_and_dead_tables_are_known(tmp_path):
    def edit(tensors):
        dead = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        tensors[dead] = np.zeros((32, 2), np.float32)
        tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
        tensors["decoder.embed_tokens.weight"] = tensors["encoder.embed_tokens.weight"].copy()

    tensors = write_huggingface(tmp_path, edit=edit)
    table = huggingface.open_directory(str(tmp_path)).leaves["token_embedding", "table"].whole()
    np.testing.assert_array_equal(table, tensors["encoder.embed_tokens.weight"])

    def differ(tensors):
        tensors["decoder.embed_tokens.weight"] = 1 + tensors["shared.weight"]

    write_huggingface(tmp_path, edit=differ)
    with pytest.raises(UserError, match="decoder.embed_tokens.weight is not the same as shared"):
        huggingface.open_directory(str(tmp_path))


def test_what_does_not_fit_is_listed_by_name(tmp_path):
    query = "encoder.block.1.layer.0.SelfAttention.q.weight"

    def edit(tensors):
        del tensors["encoder.block.2.layer.0.SelfAttention.k.weight"]
        del tensors["decoder.final_layer_norm.weight"]
        tensors["classification_head.dense.weight"] = np.zeros((2, 2), np.float32)
        tensors[query] = np.zeros((8, 17), np.float32)
        tensors["lm_head.weight"] = np.zeros((384, 16), np.int64)

    write_huggingface(tmp_path, edit=edit)
    with pytest.raises(UserError) as error:
        huggingface.open_directory(str(tmp_path))
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "missing: encoder.block.2.layer.0.SelfAttention.k.weight, decoder.final_layer_norm.weight;",
        "unknown: classification_head.dense.weight;",
        f"{query} [8, 17] float32, not [8, 16]",
        "lm_head.weight [384, 16] int64, not [384, 16]",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "bloom"}, "is a model of family 'bloom'; t2t reads t5, mt5, umt5, bert"),
        ({"model_type": "umt"}, "(did you mean 'umt5'?)"),
        ({"feed_forward_proj": "gated-tanh"}, "feed_forward_proj is 'gated-tanh'"),
        ({"d_model": None}, "d_model is None"),
        ({"decoder_start_token_id": 2}, "decoder_start_token_id is 2; t2t's is 0"),
        ({"num_layers": 4}, "missing: encoder.block.3.layer.0.SelfAttention.q.weight"),
        ({"vocab_size": 128}, "shared.weight [384, 16] float32, not [128, 16]"),
    ],
)
def test_a_config_that_is_not_this_models_is_refused(tmp_path, changes, named):
    write_huggingface(tmp_path)
    config = {k: v for k, v in {**CONFIG, **changes}.items() if v is not None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=re.escape(named)) as error:
        huggingface.open_directory(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_vocabulary_of_an_odd_size_is_padded_with_the_padding_tokens_row(tmp_path):
    tensors = write_huggingface(tmp_path, {"vocab_size": 259})
    found = huggingface.open_directory(str(tmp_path))
    assert found.arch.vocab_size == 384
    table, head = tensors["shared.weight"], tensors["lm_head.weight"]
    more = np.repeat(table[:1], 125, 0)
    got = found.leaves["token_embedding", "table"].whole()
    np.testing.assert_array_equal(got, np.concatenate([table, more]))
    got = found.leaves["lm_head", "kernel"].whole()
    np.testing.assert_array_equal(got, np.concatenate([head, np.repeat(head[:1], 125, 0)]).T)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16])
def test_there_and_back_is_the_same_bit_for_bit(tmp_path, dtype):
    a, b, c = (tmp_path / name for name in "abc")
    write_huggingface(a, dtype=dtype)
    found = huggingface.open_directory(str(a))
    b.mkdir()
    huggingface.write_directory(
        str(b), found.arch, found.leaves, ByteTokenizer(125), shard_bytes=4000
    )
    assert len(list(b.glob("*.safetensors"))) > 2
    again = huggingface.open_directory(str(b))
    assert again.arch == found.arch and again.tokenizer == found.tokenizer
    for path, leaf in found.leaves.items():
        assert again.leaves[path].dtype == leaf.dtype == dtype
        np.testing.assert_array_equal(again.leaves[path].whole(), leaf.whole())
    assert json.loads((b / "config.json").read_text())["dtype"] == np.dtype(dtype).name
    c.mkdir()
    narrow = cast(found.leaves, "bfloat16")
    huggingface.write_directory(str(c), found.arch, narrow, None)
    from safetensors.numpy import load_file

    tensors = load_file(c / "model.safetensors")
    want = huggingface_tensors(CONFIG, tied=False)
    assert set(tensors) == set(want)
    for name, tensor in want.items():
        np.testing.assert_array_equal(
            tensors[name], tensor.astype(dtype).astype(ml_dtypes.bfloat16)
        )


def test_every_pair_of_tied_and_scaled_comes_back(tmp_path):
    for number, (tied, scaled) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        write_huggingface(
            tmp_path / f"a{number}", {"scale_decoder_outputs": bool(scaled)}, tied=bool(tied)
        )
        found = huggingface.open_directory(str(tmp_path / f"a{number}"))
        (tmp_path / f"b{number}").mkdir()
        huggingface.write_directory(str(tmp_path / f"b{number}"), found.arch, found.leaves, None)
        again = huggingface.open_directory(str(tmp_path / f"b{number}"))
        assert again.arch == found.arch
        assert (again.arch.tied_embedding, again.arch.scaled_logits) == (tied, scaled)


def test_shards_are_read_straight_onto_a_mesh(tmp_path):
    tensors = write_huggingface(tmp_path, dtype=ml_dtypes.bfloat16)
    found = huggingface.open_directory(str(tmp_path))
    model = build(found.arch)
    mesh = make_mesh(Mesh(data=2, fsdp=2, tensor=2))
    layout = shardings(model.axes, model.shapes, mesh, model.units)
    shapes = jax.tree.map(
        lambda s, place: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place),
        model.shapes,
        layout,
    )
    params = parameters(found.leaves, shapes)
    kernel = params["decoder"]["layers"]["feed_forward"]["wo"]["kernel"]
    assert kernel.sharding == layout["decoder"]["layers"]["feed_forward"]["wo"]["kernel"]
    assert kernel.dtype == jnp.float32 and kernel.addressable_shards[0].data.shape == (2, 12, 8)
    for i in range(2):
        want = tensors[f"decoder.block.{i}.layer.2.DenseReluDense.wo.weight"].T
        np.testing.assert_array_equal(kernel[i], want.astype(np.float32))


def test_pickled_weights_are_read_only_when_asked_for(tmp_path):
    from tests.interop.test_torch_pickle import archive, table, tensor

    tensors = write_huggingface(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    entries, members = {}, {}
    for number, (name, array) in enumerate(tensors.items()):
        strides = [s // 4 for s in array.strides]
        entries[name] = tensor("FloatStorage", str(number), array.size, 0, array.shape, strides)
        members[str(number)] = array.tobytes()
    archive(tmp_path / "pytorch_model.bin", table(entries), members)
    with pytest.raises(UserError, match="--allow-pickle"):
        huggingface.open_directory(str(tmp_path))
    found = huggingface.open_directory(str(tmp_path), allow_pickle=True)
    write_huggingface(tmp_path / "same")
    want = huggingface.open_directory(str(tmp_path / "same"))
    for path, leaf in want.leaves.items():
        np.testing.assert_array_equal(found.leaves[path].whole(), leaf.whole())


def test_a_directory_without_weights_says_what_it_holds(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tf_model.h5").write_bytes(b"")
    with pytest.raises(UserError, match="holds no model.safetensors .only tf_model.h5"):
        huggingface.open_directory(str(tmp_path))


def test_alberts_vocabulary_is_its_tokenizer_json(tmp_path):
    """Its spiece.model has no sentinels, and does not lower-case; one that t2t wrote is T5's kind."""
    config = {"model_type": "albert"}
    for name in ("spiece.model", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    assert find(str(tmp_path), config) == Subwords(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}  # as t2t writes it
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert find(str(tmp_path), config) == Subwords(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer.json").unlink()
    assert find(str(tmp_path), config) is None
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert find(str(tmp_path), config) == SentencePiece(str(tmp_path / "spiece.model"), 0)


@pytest.mark.parametrize("extra_ids", [100, 12])
def test_a_sentencepiece_vocabulary_goes_along(tmp_path, shared_data, extra_ids):
    write_huggingface(tmp_path / "a", {"vocab_size": 32128}, tokenizer=None)
    found = huggingface.open_directory(str(tmp_path / "a"))
    assert found.tokenizer is None
    ours = SentencePieceTokenizer(str(shared_data / "tokenizers" / "t5_spiece.model"), extra_ids)
    (tmp_path / "b").mkdir()
    huggingface.write_directory(str(tmp_path / "b"), found.arch, found.leaves, ours)
    again = huggingface.open_directory(str(tmp_path / "b"))
    assert again.tokenizer == SentencePiece(str(tmp_path / "b" / "spiece.model"), extra_ids)
    theirs = SentencePieceTokenizer(again.tokenizer.path, again.tokenizer.extra_ids)
    assert theirs.vocabulary == ours.vocabulary
