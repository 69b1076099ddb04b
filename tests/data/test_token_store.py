"""The token store against plain NumPy arrays, and against every way of damaging its files."""

import json
import os
import pathlib
import pickle
import shutil
import threading

import numpy as np
import pytest

from t2t.data import token_store
from t2t.data.token_store import BLOCK, PART, open_store
from t2t.errors import Failure, UserError


def write_store(path, tokens, offsets, dtype="<u2"):
    """A committed store of `tokens`, made part by part as a preparation does it."""
    path = str(path)
    dtype = np.dtype(dtype)
    token_store.create_tokens(path, tokens.size, dtype)
    parts = [
        token_store.write_part(path, i, tokens[i * PART : (i + 1) * PART].astype(dtype))
        for i in reversed(range(token_store.part_count(tokens.size)))
    ][::-1]
    facts = {
        "dtype": dtype.name,
        "num_tokens": int(tokens.size),
        "num_documents": offsets.size - 1,
        "append_eos": False,
        "tokenizer": {"fingerprint": "a" * 32, "size": 1000},
        "source": "a test",
        "parts": parts,
        "offsets": token_store.write_offsets(path, offsets),
    }
    token_store.commit(path, facts)
    return path


@pytest.fixture(scope="module")
def flat():
    return np.random.default_rng(0).integers(0, 1000, PART + 3 * BLOCK + 17)


@pytest.fixture(scope="module")
def offsets(flat):
    inner = np.sort(np.random.default_rng(1).integers(1, flat.size, 500))
    return np.concatenate([[0], inner, [flat.size]])


@pytest.fixture(scope="module")
def two_parts(tmp_path_factory, flat, offsets):
    """Two parts, the second a few blocks, its last block not full."""
    return write_store(tmp_path_factory.mktemp("stores") / "two_parts", flat, offsets)


@pytest.fixture
def small(tmp_path, flat):
    return write_store(tmp_path / "small", flat[: 5 * BLOCK], np.array([0, 9, 5 * BLOCK]))


@pytest.mark.parametrize("resident_bytes", [0, token_store.RESIDENT_BYTES])
@pytest.mark.parametrize("length", [1, 568, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_random_rows_equal_slices(two_parts, flat, length, resident_bytes):
    store = open_store(two_parts, resident_bytes)
    starts = np.random.default_rng(length).integers(0, flat.size - length + 1, 64)
    # The ends of the array, the seam of the parts, and the same row twice.
    starts[:5] = [0, flat.size - length, PART - length // 2 - 1, starts[9], PART]
    starts[4] = min(PART, flat.size - length)
    rows = store.read(starts, length)
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(rows, flat[starts[:, None] + np.arange(length)])


def test_flat_ranges_documents_and_offsets(two_parts, flat, offsets):
    store = open_store(two_parts)
    assert (store.num_tokens, store.num_documents, len(store)) == (flat.size, 501, flat.size)
    assert store.offsets.dtype == np.int64
    np.testing.assert_array_equal(store.offsets, offsets)
    np.testing.assert_array_equal(store.lengths, offsets[1:] - offsets[:-1])
    np.testing.assert_array_equal(store.document(7), flat[offsets[7] : offsets[8]])
    np.testing.assert_array_equal(store.read_flat(PART - 5, PART + 5), flat[PART - 5 : PART + 5])
    np.testing.assert_array_equal(store.read_flat(0, flat.size), flat)
    assert store.read_flat(4, 4).shape == (0,)
    assert store.read(np.zeros([0], np.int64), 5).shape == (0, 5)


def test_reading_outside_is_refused(small):
    store = open_store(small)
    for starts in ([-1], [5 * BLOCK - 3], [0, 5 * BLOCK]):
        with pytest.raises(IndexError):
            store.read(np.array(starts), 4)
    with pytest.raises(IndexError):
        store.read_flat(3, 5 * BLOCK + 1)


def test_uint32_where_ids_need_it(tmp_path):
    assert token_store.token_dtype(65536) == np.uint16
    assert token_store.token_dtype(65537) == np.uint32
    tokens = np.arange(65530, 65560)
    path = write_store(tmp_path / "wide", tokens, np.array([0, 30]), "<u4")
    np.testing.assert_array_equal(open_store(path).read_flat(0, 30), tokens)


def test_blocks_of_zeros_are_stored(tmp_path):
    path = write_store(tmp_path / "zeros", np.zeros([2 * BLOCK], np.int64), np.array([0, 9000]))
    # The offsets are wrong on purpose: they must end at the number of tokens.
    store = open_store(path)
    assert not store.read_flat(0, 2 * BLOCK).any()
    with pytest.raises(UserError, match="offsets: damaged"):
        store.offsets  # noqa: B018


def test_fingerprint_is_of_the_content(tmp_path, flat):
    ends = np.array([0, 100])
    one = open_store(write_store(tmp_path / "one", flat[:100], ends)).fingerprint
    same = open_store(write_store(tmp_path / "same", flat[:100], ends)).fingerprint
    other = open_store(write_store(tmp_path / "other", flat[1:101], ends)).fingerprint
    cut = open_store(write_store(tmp_path / "cut", flat[:100], np.array([0, 7, 100]))).fingerprint
    assert one == same
    assert len({one, other, cut}) == 3


def test_pickles_and_serves_threads(two_parts, flat):
    store = open_store(two_parts)
    store.read(np.array([3]), 9)
    data = pickle.dumps(store)
    assert len(data) < 20_000  # no array travels
    for shared in (pickle.loads(data), open_store(two_parts, resident_bytes=0)):
        wrong = []

        def reader(seed, shared=shared, wrong=wrong):
            rng = np.random.default_rng(seed)
            for _ in range(20):
                starts = rng.integers(0, flat.size - 300, 32)
                if (shared.read(starts, 300) != flat[starts[:, None] + np.arange(300)]).any():
                    wrong.append(seed)

        threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_missing_or_interrupted_store(tmp_path, small):
    for path in (str(tmp_path / "nothing"), small):
        if path == small:
            os.remove(f"{small}/manifest.json")
        with pytest.raises(UserError, match=f"^{path}: not a prepared token store") as caught:
            open_store(path)
        assert "t2t prepare" in str(caught.value)


@pytest.mark.parametrize("file", ["tokens/c/0/0", "offsets/c/0"])
def test_truncated_or_absent_file_is_named_at_open(small, file):
    os.truncate(f"{small}/{file}", os.path.getsize(f"{small}/{file}") - 1)
    with pytest.raises(UserError, match=f"{small}/{file}: truncated"):
        open_store(small)
    os.remove(f"{small}/{file}")
    with pytest.raises(UserError, match=f"{small}/{file}: .* gone"):
        open_store(small)


def test_damaged_manifest(small):
    file = pathlib.Path(small, "manifest.json")
    manifest = json.loads(file.read_text())
    for mutate in (
        lambda m: {**m, "num_tokens": m["num_tokens"] - 1},
        lambda m: {k: v for k, v in m.items() if k != "parts"},
        lambda m: {**m, "version": 99},
        lambda m: {**m, "format": "something else"},
        lambda m: [1, 2],
    ):
        file.write_text(json.dumps(mutate(manifest)))
        with pytest.raises(UserError, match="manifest.json: "):
            open_store(small)
    file.write_text(json.dumps(manifest)[:50])
    with pytest.raises(UserError, match="manifest.json: damaged"):
        open_store(small)


def flip(file, position, bit=0):
    with open(file, "r+b") as opened:
        opened.seek(position)
        byte = opened.read(1)[0]
        opened.seek(position)
        opened.write(bytes([byte ^ (1 << bit)]))


@pytest.mark.parametrize("resident_bytes", [0, token_store.RESIDENT_BYTES])
def test_flipped_bit_names_part_and_position(tmp_path, two_parts, resident_bytes):
    path = str(tmp_path / "flipped")
    shutil.copytree(two_parts, path)
    # Part 1, its third block: blocks stand in order, each followed by its checksum.
    flip(f"{path}/tokens/c/1/0", 2 * (2 * BLOCK + 4) + 1234)
    store = open_store(path, resident_bytes)
    store.read(np.array([0, PART]), 568)  # elsewhere all is well
    begin = PART + 2 * BLOCK
    with pytest.raises(UserError, match=f"part 1 .* tokens {begin}\\.\\.{begin + BLOCK} "):
        store.read(np.array([0, begin + 5, PART]), 568)


def test_every_flipped_bit_is_noticed(small):
    file = f"{small}/tokens/c/0/0"
    rng = np.random.default_rng(0)
    size = os.path.getsize(file)
    for position in rng.integers(0, size, 20).tolist():
        flip(file, position, bit := int(rng.integers(8)))
        with pytest.raises((UserError, Failure), match="tokens/c/0/0"):
            open_store(small).read_flat(0, 5 * BLOCK)
        flip(file, position, bit)
    open_store(small).read_flat(0, 5 * BLOCK)


def test_a_file_that_vanishes_after_open_is_no_zeros(small):
    store = open_store(small)
    os.remove(f"{small}/tokens/c/0/0")
    with pytest.raises(UserError, match="tokens/c/0/0"):
        store.read(np.array([0]), 5)


def test_flipped_offset_is_noticed(small):
    flip(f"{small}/offsets/c/0", 9)
    with pytest.raises(UserError, match="offsets: damaged"):
        open_store(small).offsets  # noqa: B018


def test_other_schemes_are_refused():
    with pytest.raises(UserError, match="ftp://x"):
        open_store("ftp://x/y")
