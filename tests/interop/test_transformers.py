"""What we write `transformers` loads, what it saves we read: the same logits, words and ids."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.data.tokenizers import ByteTokenizer, SentencePieceTokenizer
from t2t.decoding.config import Greedy
from t2t.decoding.decode import decode, make_decoder
from t2t.interop import huggingface
from t2t.interop.published import parameters
from t2t.models.transformer import build
from tests.published_files import write_huggingface

pytestmark = pytest.mark.slow

RELU = {"feed_forward_proj": "relu", "tie_word_embeddings": None}
CASES = {
    "t5": (RELU, {"tied": True}),
    "t5_1_1": ({}, {}),
    "ul2": ({"feed_forward_proj": "gated-silu"}, {}),
    "mt5": ({"model_type": "mt5", "architectures": ["MT5ForConditionalGeneration"]}, {}),
    "umt5": (
        {"model_type": "umt5", "architectures": ["UMT5ForConditionalGeneration"]},
        {"per_layer": True},
    ),
    "tied, unscaled": ({"scale_decoder_outputs": False}, {"tied": True}),
    "untied, scaled": ({"scale_decoder_outputs": True}, {}),
}


@pytest.fixture(scope="module")
def transformers():
    pytest.importorskip("torch")
    return pytest.importorskip("transformers")


def our_logits(found, batch, dtype=jnp.float64):
    """In float64, from the parameters as they stand in the files."""
    import dataclasses

    with jax.enable_x64(True):
        model = build(dataclasses.replace(found.arch, dtype=np.dtype(dtype).name))
        params = jax.tree.map(
            lambda x: jnp.asarray(x, dtype), parameters(found.leaves, on_one_device(model.shapes))
        )
        run = jax.jit(lambda p, b: model.logits(p, model.forward(p, b)[0]))
        return np.asarray(run(params, batch))


def on_one_device(shapes):
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), shapes)


def their_logits(transformers, folder, batch):
    import torch

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager")
    with torch.no_grad():
        return (
            model.double()
            .eval()(
                input_ids=torch.tensor(batch["encoder"]["tokens"]).long(),
                decoder_input_ids=torch.tensor(batch["decoder"]["tokens"]).long(),
            )
            .logits.numpy()
        )


def batch_of(lengths=(150, 140)):
    """Longer than the largest distance of the position buckets."""
    rng = np.random.default_rng(1)
    encoder, decoder = (rng.integers(2, 380, (2, n)).astype(np.int32) for n in lengths)
    decoder[:, 0] = 0
    return {"encoder": {"tokens": encoder}, "decoder": {"tokens": decoder}}


def assert_same(got, want):
    assert got.dtype == want.dtype == np.float64
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error <= 1e-6, error


def calm(tensors):
    """Their norms compute in float32 whatever the type, which large weights amplify."""
    for name in tensors:
        if "norm" not in name:
            tensors[name] *= 0.2


@pytest.mark.parametrize("case", CASES)
def test_the_exported_directory_gives_the_same_logits(transformers, tmp_path, case):
    changes, options = CASES[case]
    write_huggingface(tmp_path / "a", changes, edit=calm, **options)
    found = huggingface.open_directory(str(tmp_path / "a"))
    (tmp_path / "b").mkdir()
    huggingface.write_directory(
        str(tmp_path / "b"), found.arch, found.leaves, ByteTokenizer(125), found.family,
        shard_bytes=20_000,
    )  # fmt: skip
    assert len(list((tmp_path / "b").glob("*.safetensors"))) > 2
    batch = batch_of()
    ours = our_logits(found, batch)
    assert_same(ours, their_logits(transformers, tmp_path / "b", batch))
    if "untied, scaled" not in case:  # both read the directory as it was made
        assert_same(ours, their_logits(transformers, tmp_path / "a", batch))


@pytest.mark.parametrize("case", CASES)
def test_what_transformers_saves_is_read(transformers, tmp_path, case):
    """Loaded and saved again by transformers: its flags by then say every T5 is tied."""
    import torch

    changes, options = CASES[case]
    write_huggingface(tmp_path / "a", changes, edit=calm, **options)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "a")
    theirs.save_pretrained(tmp_path / "b", max_shard_size="20KB")
    assert (tmp_path / "b" / "model.safetensors.index.json").exists()
    batch = batch_of((40, 30))
    want = their_logits(transformers, tmp_path / "a", batch)
    assert_same(our_logits(huggingface.open_directory(str(tmp_path / "b")), batch), want)
    pickled = tmp_path / "c"
    pickled.mkdir()
    torch.save(theirs.state_dict(), pickled / "pytorch_model.bin")
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    (pickled / "config.json").write_text(json.dumps(config))
    found = huggingface.open_directory(str(pickled), allow_pickle=True)
    assert_same(our_logits(found, batch), want)


def test_both_write_the_same_words(transformers, tmp_path):
    import torch

    write_huggingface(tmp_path)
    found = huggingface.open_directory(str(tmp_path))
    model, tokenizer = build(found.arch), ByteTokenizer(125)
    params = parameters(found.leaves, on_one_device(model.shapes))
    text = "some words to go on from"
    ids = np.append(tokenizer.encode([text])[0], 1).astype(np.int32)
    ((ours,),) = decode(make_decoder(model, tokenizer), params, [ids], Greedy(max_tokens=12))
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    wrote = theirs.generate(torch.tensor(ids[None]).long(), max_new_tokens=12, do_sample=False)
    wanted = [t for t in wrote[0].tolist()[1:] if t != 1]
    assert list(ours.tokens) == wanted and len(set(wanted)) > 1


def test_tokenizers_give_the_same_ids(transformers, tmp_path, shared_data):
    vocabularies = shared_data / "tokenizers"
    write_huggingface(tmp_path / "a", {"vocab_size": 32128})
    found = huggingface.open_directory(str(tmp_path / "a"))
    text = "Two <extra_id_0> words, and the number 1789 <extra_id_1>"
    for name, ours in {
        "t5": SentencePieceTokenizer(str(vocabularies / "t5_spiece.model")),
        "mt5": SentencePieceTokenizer(str(vocabularies / "mt5_spiece.model")),
        "bytes": ByteTokenizer(125),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        huggingface.write_directory(str(folder), found.arch, found.leaves, ours)
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        got = theirs("Two words, and the number 1789").input_ids
        assert got == [*ours.encode(["Two words, and the number 1789"])[0].tolist(), 1], name
        sentinels = [t for t in theirs(text).input_ids if t in ours.vocabulary.sentinels]
        assert tuple(sentinels) == ours.vocabulary.sentinels[:2], name
        assert len(theirs) == ours.vocabulary.size


def test_a_vocabulary_that_transformers_saved_gives_the_same_ids(
    transformers, tmp_path, shared_data
):
    """Transformers 5 saves a tokenizer.json and no spiece.model; read back it cuts as the original."""
    import gzip

    original = SentencePieceTokenizer(str(shared_data / "tokenizers" / "t5_spiece.model"))
    write_huggingface(tmp_path / "a", {"vocab_size": 32128})
    found = huggingface.open_directory(str(tmp_path / "a"))
    (tmp_path / "b").mkdir()
    huggingface.write_directory(str(tmp_path / "b"), found.arch, found.leaves, original)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "b")
    write_huggingface(tmp_path / "c", {"vocab_size": 32128}, tokenizer=None)
    theirs.save_pretrained(tmp_path / "c")
    assert not (tmp_path / "c" / "spiece.model").exists()
    config = huggingface.open_directory(str(tmp_path / "c")).tokenizer
    assert config.path.endswith("tokenizer.json")
    ours = SentencePieceTokenizer(config.path, config.extra_ids)
    assert ours.vocabulary.size == original.vocabulary.size
    assert ours.vocabulary.sentinels == original.vocabulary.sentinels
    with gzip.open(shared_data / "corpora" / "books.validation.jsonl.gz", "rt") as file:
        texts = [
            json.loads(line)["text"][:20_000] for _, line in zip(range(20), file, strict=False)
        ]
    texts += ["ﬁne ½  two\tspaces\u00a0and <extra_id_3> naïve ①", "", " "]
    for text, a, b in zip(texts, ours.encode(texts), original.encode(texts), strict=True):
        np.testing.assert_array_equal(a, b, text[:60])
    assert ours.decode(a) == original.decode(b)
