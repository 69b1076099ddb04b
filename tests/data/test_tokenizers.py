"""Ids of the published vocabularies, sentinels included, and text there and back."""

import gzip
import json

import numpy as np
import pytest

from t2t.data import tokenizers
from t2t.data.tokenizer_config import Bytes, SentencePiece, TrainedSentencePiece
from t2t.data.tokenizer_training import train
from t2t.errors import UserError


@pytest.fixture(scope="module")
def t5(shared_data):
    path = str(shared_data / "tokenizers" / "t5_spiece.model")
    return tokenizers.load(SentencePiece(path)), path


@pytest.fixture(scope="module")
def prose(shared_data):
    with gzip.open(shared_data / "corpora" / "sotu.jsonl.gz", "rt") as file:
        return [json.loads(next(file))["text"][:5000] for _ in range(5)]


def test_t5s_sentinels_are_the_last_ids_backwards(t5):
    vocabulary = t5[0].vocabulary
    assert vocabulary.size == 32100
    assert vocabulary.sentinels == tuple(range(32099, 31999, -1))
    assert (vocabulary.pad_id, vocabulary.eos_id, vocabulary.unk_id) == (0, 1, 2)


def test_mt5s_sentinels_are_pieces_of_its_own(shared_data):
    path = str(shared_data / "tokenizers" / "mt5_spiece.model")
    vocabulary = tokenizers.load(SentencePiece(path)).vocabulary
    assert vocabulary.size == 250100
    assert vocabulary.sentinels == tuple(range(250099, 249999, -1))


def test_ids_are_those_of_sentencepiece(t5, prose):
    import sentencepiece

    tokenizer, path = t5
    processor = sentencepiece.SentencePieceProcessor(model_file=path)
    for text, ids in zip(prose, tokenizer.encode(prose), strict=True):
        assert ids.dtype == np.int32
        assert ids.tolist() == processor.encode(text)
        assert tokenizer.decode(ids) == processor.decode(processor.encode(text))


def test_sentinels_in_a_text_become_their_ids_and_come_back(t5):
    tokenizer, _ = t5
    (ids,) = tokenizer.encode(["a <extra_id_0> b <extra_id_1>"])
    assert [i for i in ids.tolist() if i >= 32000] == [32099, 32098]
    assert tokenizer.decode(ids).split() == ["a", "<extra_id_0>", "b", "<extra_id_1>"]


@pytest.mark.parametrize("kind", ["t5", "bytes"])
def test_decoding_stops_at_the_end_of_sequence_and_hides_padding(request, kind):
    tokenizer = request.getfixturevalue("t5")[0] if kind == "t5" else tokenizers.load(Bytes())
    (ids,) = tokenizer.encode(["hello there"])
    row = [0, *ids.tolist(), 1, *ids.tolist(), 0, 0]
    assert tokenizer.decode(row) == "hello there"
    assert tokenizer.decode(row, stop_at_eos=False).count("there") == 2


def test_byt5s_ids_are_bytes_plus_three_with_sentinels_from_258_down():
    tokenizer = tokenizers.load(Bytes())
    text = "Grüße, 東京"
    (ids,) = tokenizer.encode([text])
    assert ids.tolist() == [byte + 3 for byte in text.encode()]
    assert tokenizer.decode(ids) == text
    assert tokenizer.vocabulary.size == 259
    assert tokenizer.vocabulary.sentinels[:3] == (258, 257, 256)
    assert tokenizer.encode(["<extra_id_1>"])[0].tolist() == [257]
    assert tokenizers.load(Bytes(extra_ids=125)).vocabulary.sentinels[:2] == (259, 260)


def test_fingerprints_tell_vocabularies_apart(t5):
    tokenizer, path = t5
    assert tokenizer.vocabulary.fingerprint == (
        tokenizers.load(SentencePiece(path)).vocabulary.fingerprint
    )
    others = [SentencePiece(path, extra_ids=10), Bytes(), Bytes(extra_ids=1)]
    found = {tokenizers.load(other).vocabulary.fingerprint for other in others}
    assert len(found | {tokenizer.vocabulary.fingerprint}) == 4


def test_missing_and_foreign_vocabularies_are_named(tmp_path):
    with pytest.raises(UserError, match="none.model"):
        tokenizers.load(SentencePiece(str(tmp_path / "none.model")))
    (tmp_path / "text.model").write_text("not a model")
    with pytest.raises(UserError, match="text.model"):
        tokenizers.load(SentencePiece(str(tmp_path / "text.model")))


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_trained_vocabulary_has_its_size_and_reads_its_text_back(tmp_path, kind):
    from pydoc_data import topics

    texts = [" ".join(text.split()) for text in topics.topics.values()][:60]
    config = TrainedSentencePiece(vocabulary_size=600, kind=kind, extra_ids=20)
    path = str(tmp_path / "own.model")
    train(config, texts, path, progress=False)
    tokenizer = tokenizers.load(config, path)
    assert tokenizer.vocabulary.size == 620
    assert tokenizer.vocabulary.sentinels == tuple(range(619, 599, -1))
    (ids,) = tokenizer.encode(texts[:1])
    assert tokenizer.decode(ids) == texts[0]
    assert len(ids) < len(texts[0]) / 2, "pieces are longer than characters"


def test_a_tokenizer_json_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    for content, named in (
        ('{"model": {"type": "BPE", "vocab": {}}}', "of kind BPE; only Unigram"),
        ('{"model": {"type": "Unigram", "vocab": [["a"]]}}', "a damaged one"),
        ("{", "a damaged one"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=named):
            tokenizers.load(SentencePiece(str(path)))
