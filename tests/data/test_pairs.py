"""Stores of pairs: documents 2i and 2i + 1 are input and target i, whatever happens on the way."""

import dataclasses

import numpy as np
import pytest

from t2t.data import prepare as preparation
from t2t.data import prepare_workers, store_assembly
from t2t.data.pairs import of
from t2t.data.prepare import ensure, prepare, prepared_path
from t2t.data.source_config import Prepared
from t2t.data.tokenizer_config import Bytes
from t2t.errors import UserError

PAIRS = [(f"input {i} " + "é" * (i % 7), "" if i % 5 == 0 else f"target {i}") for i in range(200)]


def pairs_of(pairs=PAIRS):
    return of("task (train)", lambda: iter(pairs))


def assert_holds(store, pairs):
    texts = [text for pair in pairs for text in pair]
    rows = [np.frombuffer(text.encode(), np.uint8).astype(np.int32) + 3 for text in texts]
    assert store.num_documents == len(rows) and store.kind == "pairs"
    np.testing.assert_array_equal(store.lengths, [row.size for row in rows])
    np.testing.assert_array_equal(store.read_flat(0, store.num_tokens), np.concatenate(rows))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_store_is_the_pairs_in_order(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(preparation, "PIECE_CHARACTERS", 97)  # pieces end in the middle of pairs
    monkeypatch.setattr(prepare_workers, "INLINE_BYTES", 300)
    store = prepare(pairs_of(), Bytes(), str(tmp_path / "s"), workers=workers, progress=False)
    assert_holds(store, PAIRS)
    assert store.describe() == f"200 pairs, {store.num_tokens:,} tokens"


def test_an_interrupted_preparation_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "PIECE_CHARACTERS", 500)

    class Interrupted(Exception):
        pass

    def stopping():
        for number, pair in enumerate(PAIRS):
            if number == 120:
                raise Interrupted
            yield pair

    whole = pairs_of()
    with pytest.raises(Interrupted):
        prepare(
            dataclasses.replace(whole, read=stopping), Bytes(), str(tmp_path / "s"), progress=False
        )
    staged = list((tmp_path / "s" / "staging").glob("*.piece"))
    assert len(staged) > 3
    encoded = []
    monkeypatch.setattr(
        preparation.staging,
        "write_piece",
        lambda path, piece, *a, w=preparation.staging.write_piece: (
            encoded.append(piece),
            w(path, piece, *a),
        ),
    )
    with monkeypatch.context() as patch:
        patch.setattr(store_assembly, "put_together", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(whole, Bytes(), str(tmp_path / "s"), progress=False)
    assert encoded and not {p.name for p in staged} & {p.name for p in encoded}
    assert_holds(prepare(whole, Bytes(), str(tmp_path / "s"), progress=False), PAIRS)


def test_a_share_takes_whole_pairs(tmp_path):
    parts = [(0.0, 0.3), (0.3, 1.0)]
    found = []
    for number, share in enumerate(parts):
        folder = str(tmp_path / str(number))
        store = prepare(pairs_of(), Bytes(), folder, documents_share=share, progress=False)
        assert store.num_documents % 2 == 0
        for i in range(0, store.num_documents, 2):
            found.append(
                tuple(bytes((store.document(d) - 3).tolist()).decode() for d in (i, i + 1))
            )
    assert sorted(found) == sorted(PAIRS)


def test_the_cache_is_found_again_by_the_texts(tmp_path):
    cache = str(tmp_path)
    first = ensure(cache, pairs_of(), Bytes(), progress=False)
    never = dataclasses.replace(pairs_of(), read=lambda: 1 / 0)
    assert ensure(cache, never, Bytes(), progress=False).path == first.path
    # One letter moved from an input to its target is another task.
    moved = [("input ", "0 "), *PAIRS[1:]]
    paths = {
        prepared_path(cache, pairs_of(pairs), Bytes())
        for pairs in (PAIRS, moved, PAIRS[:-1], PAIRS[::-1], [p[::-1] for p in PAIRS])
    }
    assert len(paths) == 5
    assert_holds(ensure(cache, Prepared(first.path), Bytes()), PAIRS)


def test_kinds_with_the_same_tokens_have_different_fingerprints(tmp_path):
    from t2t.data.source_config import Text

    (tmp_path / "lines.txt").write_text("one\ntwo\n", encoding="utf-8")
    lines = Text((str(tmp_path / "lines.txt"),), documents="line")
    text = prepare(lines, Bytes(), str(tmp_path / "text"), progress=False)
    pairs = prepare(pairs_of([("one", "two")]), Bytes(), str(tmp_path / "pairs"), progress=False)
    assert text.lengths.tolist() == pairs.lengths.tolist() == [3, 3]
    assert (text.kind, pairs.kind) == ("texts", "pairs")
    assert text.fingerprint != pairs.fingerprint


def test_what_is_no_text_is_named():
    with pytest.raises(UserError, match=r"task \(train\): holds no example"):
        pairs_of([])
    with pytest.raises(UserError, match=r"the target of example 1 holds half .* \(\\ud800\)"):
        pairs_of([("a", "b"), ("a", "\ud800")])
