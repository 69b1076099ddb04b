"""Preparation: the store equals a plain encoding of all documents in order, whatever happens."""

import gzip
import json
import os
import pathlib
import threading
import time

import numpy as np
import pytest

from t2t.data import prepare as preparation
from t2t.data import prepare_workers, sources, token_store
from t2t.data.prepare import ensure, prepared_path
from t2t.data.source_config import Jsonl, Prepared, Text
from t2t.data.tokenizer_config import Bytes, SentencePiece
from t2t.data.tokenizers import ByteTokenizer
from t2t.errors import UserError
from tests.data.prepared_texts import assert_holds, bytes_of, quiet, texts_of, write_jsonl


def test_store_is_the_documents_in_order(tmp_path, corpus, small_pieces):
    source, texts = corpus
    store = quiet(source, Bytes(), tmp_path / "out", workers=1)
    assert_holds(store, texts)
    assert store.dtype == np.uint16
    assert store.tokenizer_fingerprint == ByteTokenizer().vocabulary.fingerprint
    assert not store.append_eos
    assert sorted(os.listdir(tmp_path / "out")) == [".lock", "manifest.json", "offsets", "tokens"]


def test_store_of_several_parts(tmp_path):
    long = ["ab" * 900_000, "c", "defg" * 500_000, "h" * 700_000, "ij" * 10]
    source = Jsonl((write_jsonl(tmp_path / "long.jsonl", long),))
    store = quiet(source, Bytes(), tmp_path / "out", workers=1)
    assert len(store.manifest["parts"]) == 2
    assert_holds(store, long)


def test_cutting_does_not_change_the_store(tmp_path, corpus, monkeypatch):
    source, _ = corpus
    fingerprints = set()
    for cut, (characters, groups) in enumerate([(10**6, 256), (1, 256), (3000, 2), (10**6, 1)]):
        monkeypatch.setattr(preparation, "PIECE_CHARACTERS", characters)
        monkeypatch.setattr(preparation, "MOST_GROUPS", groups)
        fingerprints.add(quiet(source, Bytes(), tmp_path / str(cut), workers=1).fingerprint)
    assert len(fingerprints) == 1


@pytest.mark.parametrize("one_reader", [True, False])
def test_two_processes_equal_one(tmp_path, corpus, small_pieces, monkeypatch, one_reader):
    source, texts = corpus
    alone = quiet(source, Bytes(), tmp_path / "one", workers=1)
    monkeypatch.setattr(prepare_workers, "INLINE_BYTES", 5000)
    monkeypatch.setattr(preparation, "WORKERS_OF_ONE_READER", 8 if one_reader else 1)
    both = quiet(source, Bytes(), tmp_path / "two", workers=2)
    assert both.fingerprint == alone.fingerprint
    assert_holds(both, texts)


def test_append_eos(tmp_path, corpus):
    source, texts = corpus
    store = quiet(source, Bytes(), tmp_path / "out", append_eos=True, workers=1)
    for number in (0, 40, 41, len(texts) - 1):
        expected = [*(byte + 3 for byte in texts[number].encode()), 1]
        assert store.document(number).tolist() == expected
    assert store.append_eos
    assert store.fingerprint != quiet(source, Bytes(), tmp_path / "without").fingerprint


def test_uint32_for_a_large_vocabulary(tmp_path, corpus):
    source, texts = corpus
    store = quiet(source, Bytes(extra_ids=70_000), tmp_path / "out", workers=1)
    assert store.dtype == np.uint32
    assert_holds(store, texts)


def test_shares_are_disjoint_and_cover(tmp_path, corpus):
    source, texts = corpus
    shares = [(0.0, 0.1), (0.1, 0.55), (0.55, 1.0)]
    parts = []
    for lo, hi in shares:
        store = quiet(source, Bytes(), tmp_path / f"{lo}", documents_share=(lo, hi), workers=1)
        parts.append([store.document(d).tobytes() for d in range(store.num_documents)])
        assert abs(len(parts[-1]) / len(texts) - (hi - lo)) < 0.1
    whole = [bytes_of([text])[0].tobytes() for text in texts]
    assert sorted(sum(parts, [])) == sorted(whole)
    # Within a share the documents keep their order.
    for part in parts:
        places = [whole.index(document) for document in part]
        assert places == sorted(places)
    with pytest.raises(UserError, match="documents_share"):
        quiet(source, Bytes(), tmp_path / "none", documents_share=(0.5, 0.5))


def test_ensure_prepares_once_and_tells_stores_apart(tmp_path, corpus, monkeypatch):
    source, texts = corpus
    cache = str(tmp_path / "cache")
    first = ensure(cache, source, Bytes(), progress=False)
    assert_holds(first, texts)
    assert first.path == prepared_path(cache, source, Bytes())
    others = {
        prepared_path(cache, source, Bytes(5)),
        prepared_path(cache, source, Bytes(), (0.0, 0.5)),
        prepared_path(cache, source, Bytes(), append_eos=True),
        prepared_path(cache, Text(source.paths), Bytes()),
        first.path,
    }
    assert len(others) == 5
    monkeypatch.setattr(sources, "documents", lambda shard: pytest.fail("prepared again"))
    assert ensure(cache, source, Bytes()).fingerprint == first.fingerprint
    assert ensure(cache, Prepared(first.path), Bytes()).fingerprint == first.fingerprint
    with pytest.raises(UserError, match="another tokenizer"):
        ensure(cache, Prepared(first.path), Bytes(3))
    with pytest.raises(UserError, match="used whole"):
        ensure(cache, Prepared(first.path), Bytes(), documents_share=(0.0, 0.5))


def test_prepare_does_not_touch_what_is_not_its_own(tmp_path, corpus):
    source, _ = corpus
    target = tmp_path / "mine"
    (target / "tokens").mkdir(parents=True)
    (target / "tokens" / "precious").write_text("keep me")
    with pytest.raises(UserError, match=f"{target}: neither empty nor a token store"):
        quiet(source, Bytes(), target)
    assert (target / "tokens" / "precious").read_text() == "keep me"
    quiet(source, Bytes(), tmp_path / "out")
    with pytest.raises(UserError, match="holds another token store"):
        quiet(source, Bytes(7), tmp_path / "out")


def test_two_callers_at_once_prepare_once(tmp_path, corpus, monkeypatch):
    source, texts = corpus
    reads = []
    real = sources.documents

    def slow(shard):
        reads.append(shard.path)
        time.sleep(0.05)
        return real(shard)

    monkeypatch.setattr(sources, "documents", slow)
    stores = []
    cache = str(tmp_path / "cache")
    threads = [
        threading.Thread(target=lambda: stores.append(ensure(cache, source, Bytes(), workers=1)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 3
    assert len(reads) == 5  # each file once
    assert_holds(stores[0], texts)


def test_empty_corpus(tmp_path):
    for name, content in (("a.jsonl", ""), ("b.jsonl", '{"text": "  "}\n\n')):
        (tmp_path / name).write_text(content)
        source = Jsonl((str(tmp_path / name),))
        with pytest.raises(UserError, match=f"{tmp_path / name}: no document"):
            quiet(source, Bytes(), tmp_path / "out")
        assert not token_store.is_committed(str(tmp_path / "out"))


@pytest.mark.parametrize("in_worker", [False, True])
def test_bad_line_is_named_also_from_a_worker(tmp_path, monkeypatch, small_pieces, in_worker):
    files = [write_jsonl(tmp_path / f"{i}.jsonl", texts_of(30, i)) for i in range(3)]
    lines = pathlib.Path(files[2]).read_text().splitlines()
    lines[17] = '{"text": "open'
    pathlib.Path(files[2]).write_text("\n".join(lines))
    if in_worker:
        monkeypatch.setattr(prepare_workers, "INLINE_BYTES", 1)
        monkeypatch.setattr(preparation, "WORKERS_OF_ONE_READER", 0)
    with pytest.raises(UserError, match=f"^{files[2]}:18: not JSON"):
        quiet(Jsonl(tuple(files)), Bytes(), tmp_path / "out", workers=2 if in_worker else 1)
    assert not token_store.is_committed(str(tmp_path / "out"))


def test_real_text_equals_a_plain_encoding(tmp_path, shared_data):
    import sentencepiece

    model = str(shared_data / "tokenizers" / "t5_spiece.model")
    peps = shared_data / "corpora" / "peps.jsonl.gz"
    with gzip.open(peps, "rt") as file:
        texts = [json.loads(next(file))["text"] for _ in range(30)]
    source = Jsonl((write_jsonl(tmp_path / "peps.jsonl.gz", texts),))
    store = quiet(source, SentencePiece(model), tmp_path / "out", workers=1)
    processor = sentencepiece.SentencePieceProcessor(model_file=model)
    expected = [processor.encode(text) for text in texts]
    np.testing.assert_array_equal(store.read_flat(0, store.num_tokens), np.concatenate(expected))
    assert store.lengths.tolist() == [len(row) for row in expected]
