"""Preparation: the store equals a plain encoding of all documents in order, whatever happens."""

import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from t2t.data import prepare as preparation
from t2t.data import prepare_workers, sources, staging, storage, store_assembly, token_store
from t2t.data.prepare import ensure, prepare, prepared_path
from t2t.data.source_config import Jsonl, Prepared, Text
from t2t.data.token_store import open_store
from t2t.data.tokenizer_config import Bytes, SentencePiece
from t2t.data.tokenizers import ByteTokenizer
from t2t.errors import Failure, UserError

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def texts_of(count, seed=0, most=400):
    """Documents of random letters, of very different lengths."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefgh éß\n"))
    sizes = rng.integers(1, most, count)
    return ["x" + "".join(rng.choice(letters, size)) for size in sizes]


def write_jsonl(path, texts):
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "wt") as file:
        for text in texts:
            file.write(json.dumps({"text": text}) + "\n")
    return str(path)


def bytes_of(texts):
    """What a store of bytes must hold: ByT5's id of a byte is the byte + 3."""
    rows = [np.frombuffer(text.encode(), np.uint8).astype(np.int32) + 3 for text in texts]
    return np.concatenate(rows), np.cumsum([0] + [row.size for row in rows])


def assert_holds(store, texts):
    tokens, offsets = bytes_of(texts)
    np.testing.assert_array_equal(store.read_flat(0, store.num_tokens), tokens)
    np.testing.assert_array_equal(store.offsets, offsets)


@pytest.fixture
def corpus(tmp_path):
    """(source, its documents): five files, one of them gzipped, one a single document."""
    texts = [texts_of(n, seed) for seed, n in enumerate((40, 1, 90, 25, 60))]
    for i, part in enumerate(texts):
        write_jsonl(tmp_path / f"{i}.jsonl{'.gz' * (i == 2)}", part)
    return Jsonl((str(tmp_path / "*.jsonl*"),)), [text for part in texts for text in part]


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of 2,000 characters: dozens of them in a corpus that takes no time."""
    monkeypatch.setattr(preparation, "PIECE_CHARACTERS", 2000)


def quiet(source, tokenizer, path, **options):
    return prepare(source, tokenizer, str(path), progress=False, **options)


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


# --- interruptions ------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def test_finished_pieces_are_not_encoded_again(tmp_path, corpus, small_pieces, monkeypatch):
    source, texts = corpus
    whole = quiet(source, Bytes(), tmp_path / "whole", workers=1)
    encoded = []

    class Counting(ByteTokenizer):
        def encode(self, texts):
            if len(encoded) == self.stop_at:
                raise Interrupted
            encoded.append(len(texts))
            return super().encode(texts)

    tokenizer = Counting()
    for tokenizer.stop_at in (3, 3, 11, 10**9):
        try:
            store = quiet(source, tokenizer, tmp_path / "out", workers=1)
        except Interrupted:
            with pytest.raises(UserError, match="not a prepared token store"):
                open_store(str(tmp_path / "out"))
    assert sum(encoded) == len(texts)
    assert store.fingerprint == whole.fingerprint
    assert_holds(store, texts)


def test_staged_pieces_of_another_plan_are_discarded(tmp_path, corpus, small_pieces, monkeypatch):
    source, texts = corpus
    monkeypatch.setattr(
        store_assembly, "put_together", lambda *a: (_ for _ in ()).throw(Interrupted)
    )
    with pytest.raises(Interrupted):
        quiet(source, Bytes(), tmp_path / "out", append_eos=True, workers=1)
    monkeypatch.undo()
    assert_holds(quiet(source, Bytes(), tmp_path / "out", workers=1), texts)


def test_damaged_staged_piece_is_encoded_anew(tmp_path, corpus, small_pieces, monkeypatch):
    source, texts = corpus
    with monkeypatch.context() as patch:
        patch.setattr(store_assembly, "put_together", lambda *a: (_ for _ in ()).throw(Interrupted))
        with pytest.raises(Interrupted):
            quiet(source, Bytes(), tmp_path / "out", workers=1)
    name = sorted(p for p in os.listdir(tmp_path / "out/staging") if p.endswith(".piece"))[3]
    os.truncate(tmp_path / "out/staging" / name, 100)
    with pytest.raises(Failure, match=f"{name}: damaged"):
        quiet(source, Bytes(), tmp_path / "out", workers=1)
    assert_holds(quiet(source, Bytes(), tmp_path / "out", workers=1), texts)


def test_full_disk_is_one_line_and_resumable(tmp_path, corpus, small_pieces, monkeypatch):
    """TensorStore's own words for ENOSPC, at a piece, at a part and at the manifest."""
    source, texts = corpus
    out = str(tmp_path / "out")

    def full(*arguments):
        with storage.storage_errors(out):
            raise ValueError(
                'RESOURCE_EXHAUSTED: Failed writing: "/x.__lock": Failed to write 5 bytes to '
                "file 4: No space left on device [os_error_code='28']"
            )

    for module, name in (
        (staging, "write_piece"),
        (token_store, "write_part"),
        (token_store, "write_offsets"),
        (token_store, "commit"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, full)
            with pytest.raises(Failure, match=f"^{out}: the disk is full") as caught:
                quiet(source, Bytes(), out, workers=1)
        assert "\n" not in str(caught.value)
        assert not token_store.is_committed(out)
    assert_holds(quiet(source, Bytes(), out, workers=1), texts)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_really_full_disk(tmp_path, monkeypatch):
    texts = texts_of(60, most=40_000)
    source = Jsonl((write_jsonl(tmp_path / "a.jsonl", texts),))
    monkeypatch.setattr(preparation, "PIECE_CHARACTERS", 100_000)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        with pytest.raises(Failure, match=f"^{disk}/out: the disk is full"):
            quiet(source, Bytes(), disk / "out", workers=1)
        kept = len(staging.state(f"{disk}/out").pieces)
        assert kept > 2
        subprocess.run(["mount", "-o", "remount,size=30m", str(disk)], check=True)
        assert_holds(quiet(source, Bytes(), disk / "out", workers=1), texts)
    finally:
        subprocess.run(["umount", "-l", str(disk)])


CHILD = """
    import os, sys, time
    sys.path.insert(0, {repository!r})
    from t2t.data import prepare, prepare_workers
    from t2t.data.source_config import Jsonl
    from t2t.data.tokenizers import ByteTokenizer

    class Slow(ByteTokenizer):
        def encode(self, texts):
            open(os.path.join({marks!r}, str(os.getpid())), "w").close()
            time.sleep(float(sys.argv[1]))
            return super().encode(texts)

    if __name__ == "__main__":
        prepare.PIECE_CHARACTERS = 2000
        prepare_workers.INLINE_BYTES = 8000
        prepare.prepare(Jsonl(({files!r},)), Slow(), {out!r}, workers=2)
        assert "jax" not in sys.modules
"""


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for orphans in /proc")
def test_kill_9_leaves_no_orphan_and_the_same_store(tmp_path, corpus, small_pieces):
    source, texts = corpus
    whole = quiet(source, Bytes(), tmp_path / "whole", workers=1)
    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    script = tmp_path / "child.py"
    values = {"repository": str(REPOSITORY), "files": source.paths[0]}
    script.write_text(textwrap.dedent(CHILD).format(out=str(out), marks=str(marks), **values))

    def pieces():
        return {p.name: p.stat().st_mtime_ns for p in (out / "staging").glob("*.piece")}

    kept = {}
    for least in (2, 8, 14):  # while still alone, then with workers, then again
        child = subprocess.Popen([sys.executable, str(script), "0.1"])
        deadline = time.monotonic() + 60
        while len(pieces()) < least:
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in os.listdir(marks)):
            assert time.monotonic() < deadline, "a worker outlived its parent"
            time.sleep(0.02)
        with pytest.raises(UserError, match="not a prepared token store"):
            open_store(str(out))
        assert kept.items() <= pieces().items()  # nothing finished was written again
        kept = pieces()
    assert len(os.listdir(marks)) >= 4  # the children and their workers
    assert subprocess.run([sys.executable, str(script), "0"]).returncode == 0
    store = open_store(str(out))
    assert store.fingerprint == whole.fingerprint
    assert_holds(store, texts)


@pytest.mark.slow
def test_killed_worker_is_a_failure_not_a_hang(tmp_path, corpus, small_pieces):
    source, texts = corpus
    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    script = tmp_path / "child.py"
    values = {"repository": str(REPOSITORY), "files": source.paths[0]}
    script.write_text(textwrap.dedent(CHILD).format(out=str(out), marks=str(marks), **values))
    child = subprocess.Popen([sys.executable, str(script), "0.2"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (workers := set(os.listdir(marks)) - {str(child.pid)}):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(int(workers.pop()), signal.SIGKILL)
    _, errors = child.communicate(timeout=60)
    assert b"a worker process died" in errors
    assert not token_store.is_committed(str(out))
    assert_holds(quiet(source, Bytes(), out, workers=1), texts)


# --- the real vocabulary ------------------------------------------------------------------------


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


# --- object stores ------------------------------------------------------------------------------


@pytest.mark.slow
def test_store_on_s3(tmp_path, corpus, small_pieces, monkeypatch, s3):
    """Prepared into and read from a local S3 server, by the same code and with the same content."""
    source, texts = corpus
    local = quiet(source, Bytes(), tmp_path / "out", workers=1)
    s3.create_bucket(Bucket="bucket")
    path = "s3://bucket/some/store"
    with pytest.raises(UserError, match=f"^{path}: not a prepared token store"):
        open_store(path)
    with monkeypatch.context() as patch:
        patch.setattr(token_store, "commit", lambda *a: (_ for _ in ()).throw(Interrupted))
        with pytest.raises(Interrupted):
            quiet(source, Bytes(), path, workers=1)
    assert not token_store.is_committed(path)
    store = quiet(source, Bytes(), path, workers=1)
    assert store.fingerprint == local.fingerprint
    assert_holds(store, texts)
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert not [key for key in keys if "staging" in key]
    s3.delete_object(Bucket="bucket", Key="some/store/tokens/c/0/0")
    with pytest.raises(UserError, match=f"{path}/tokens/c/0/0: .* gone"):
        open_store(path)
