"""Preparation that is interrupted, killed or starved of disk goes on where it was, to the same store."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from t2t.data import prepare as preparation
from t2t.data import staging, storage, store_assembly, token_store
from t2t.data.source_config import Jsonl
from t2t.data.token_store import open_store
from t2t.data.tokenizer_config import Bytes
from t2t.data.tokenizers import ByteTokenizer
from t2t.errors import Failure, UserError
from tests.data.prepared_texts import assert_holds, quiet, texts_of, write_jsonl

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


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
