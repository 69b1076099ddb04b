"""The token store: one flat token array and the offsets of its documents, checksummed on disk.

    STORE/manifest.json     written last: a folder without it is not a store
    STORE/tokens/           zarr3 [blocks, BLOCK] uint16 or uint32, one shard file per part
    STORE/offsets/          zarr3 [documents + 1] int64, where each document starts

The flat array is stored as rows of BLOCK tokens, because one TensorStore read of whole rows costs
half of what one read per slice does. Every block, every shard index and every offsets chunk carries
a crc32c that TensorStore checks when it reads. Paths may be local, `gs://` or `s3://`.
"""

import hashlib
import json
import os
import threading
from typing import Any

import numpy as np

from t2t.data.span_marks import ID_BITS
from t2t.data.storage import is_local, kvstore, open_kvstore, storage_errors
from t2t.errors import Failure, UserError

FORMAT = "t2t token store"
VERSION = 1
BLOCK = 4096  # tokens; the unit that is read and checksummed
BLOCKS_PER_PART = 1024  # 4 Mi tokens a file: a 16 kB index, 8 MB of data as uint16
PART = BLOCK * BLOCKS_PER_PART
_OFFSETS_CHUNK = 1 << 20
# What documents are: texts of their own, or (pairs) 2i and 2i + 1 an input and its target, or (text
# pairs) 3i and 3i + 1 an input that is two texts, and 3i + 2 its target.
TEXTS, PAIRS, TEXT_PAIRS = "texts", "pairs", "text pairs"
UNITS = {TEXTS: 1, PAIRS: 2, TEXT_PAIRS: 3}  # documents that belong together
_CALLED = {TEXTS: "documents", PAIRS: "pairs", TEXT_PAIRS: "pairs of texts with targets"}
# A store up to this size is kept decoded in memory as it is touched: rows are then copied at
# 10^6 a second instead of being read at 4*10^4.
RESIDENT_BYTES = 256 << 20
_CACHE_BYTES = 64 << 20  # shard indexes and recent blocks of larger stores


def token_dtype(vocabulary_size: int) -> np.dtype:
    """uint16 where every id fits, else uint32."""
    return np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<u4")


# Writing. Every array is created with its final shape, parts are written in any order by any
# process, and `commit` makes the whole a store.


def _bytes_codec() -> list[dict[str, Any]]:
    return [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


def _blocks(num_tokens: int) -> int:
    return -(-num_tokens // BLOCK)


def part_count(num_tokens: int) -> int:
    return -(-num_tokens // PART)


def _array_spec(path: str, name: str) -> dict[str, Any]:
    base = kvstore(path)
    return {
        "driver": "zarr3",
        "kvstore": {**base, "path": base["path"] + name + "/"},
        # An absent file is damage, never zeros; a block of zeros is written like any other.
        "fill_missing_data_reads": False,
        "store_data_equal_to_fill_value": True,
    }


def _tokens_metadata(num_tokens: int, dtype: np.dtype) -> dict[str, Any]:
    sharding = {"chunk_shape": [1, BLOCK], "codecs": _bytes_codec(), "index_codecs": _bytes_codec()}
    return {
        "shape": [_blocks(num_tokens), BLOCK],
        "data_type": dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [BLOCKS_PER_PART, BLOCK]},
        },
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "fill_value": 0,
    }


def _offsets_metadata(entries: int) -> dict[str, Any]:
    return {
        "shape": [entries],
        "data_type": "int64",
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [min(entries, _OFFSETS_CHUNK)]},
        },
        "codecs": _bytes_codec(),
        "fill_value": 0,
    }


def create_tokens(path: str, num_tokens: int, dtype: np.dtype) -> None:
    """Creates the empty token array, in place of any uncommitted one."""
    import tensorstore as ts

    spec = _array_spec(path, "tokens")
    spec["metadata"] = _tokens_metadata(num_tokens, dtype)
    with storage_errors(path):
        ts.open(spec, create=True, delete_existing=True).result()


def write_part(path: str, part: int, tokens: np.ndarray) -> dict[str, Any]:
    """Writes part `part`, `tokens` [<= PART] in the store's dtype; returns its manifest entry."""
    import tensorstore as ts

    blocks = _blocks(tokens.size)
    rows = np.zeros([blocks, BLOCK], tokens.dtype)
    rows.reshape(-1)[: tokens.size] = tokens
    with storage_errors(path):
        array = ts.open(_array_spec(path, "tokens")).result()
        begin = part * BLOCKS_PER_PART
        array[begin : begin + blocks].write(rows).result()
    index_bytes = 16 * BLOCKS_PER_PART + 4
    return {
        "file": f"tokens/c/{part}/0",
        "tokens": int(tokens.size),
        "bytes": blocks * (BLOCK * tokens.dtype.itemsize + 4) + index_bytes,
        "sha256": hashlib.sha256(tokens.tobytes()).hexdigest(),
    }


def write_offsets(path: str, offsets: np.ndarray) -> dict[str, Any]:
    """Writes `offsets` int64 [D+1]; returns its manifest entry."""
    import tensorstore as ts

    spec = _array_spec(path, "offsets")
    spec["metadata"] = _offsets_metadata(offsets.size)
    with storage_errors(path):
        array = ts.open(spec, create=True, delete_existing=True).result()
        array.write(offsets).result()
    chunk = min(offsets.size, _OFFSETS_CHUNK)
    return {
        "files": [f"offsets/c/{i}" for i in range(-(-offsets.size // chunk))],
        "bytes": chunk * 8 + 4,
        "sha256": hashlib.sha256(offsets.astype("<i8").tobytes()).hexdigest(),
    }


def commit(path: str, facts: dict[str, Any]) -> None:
    """Writes the manifest, from which moment the store exists.

    `facts`: kind, dtype, num_tokens, num_documents, append_eos, tokenizer {fingerprint, size},
    source (in words), plan, parts (entries of `write_part`), offsets (the entry of `write_offsets`).
    """
    manifest = {"format": FORMAT, "version": VERSION, **facts, "fingerprint": _fingerprint(facts)}
    store = open_kvstore(path)
    with storage_errors(path):
        store.write("manifest.json", json.dumps(manifest, indent=1).encode() + b"\n").result()


def _fingerprint(facts: dict[str, Any]) -> str:
    """Of what the store holds: the tokens, the documents, and the vocabulary they are ids of."""
    content = [
        VERSION,
        facts["dtype"],
        facts["num_tokens"],
        facts["num_documents"],
        facts["append_eos"],
        facts["tokenizer"],
        [[part["tokens"], part["sha256"]] for part in facts["parts"]],
        facts["offsets"]["sha256"],
    ]
    if _kind(facts) != TEXTS:
        content.append(_kind(facts))
    if facts.get("marked"):
        content.append("marked")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _kind(facts: dict[str, Any]) -> str:
    # A store of before there were pairs names no kind.
    return facts.get("kind", TEXTS)


# Reading.


def is_committed(path: str) -> bool:
    """Whether `path` holds a finished token store."""
    if is_local(path):
        return os.path.exists(os.path.join(os.path.expanduser(path), "manifest.json"))
    store = open_kvstore(path)
    with storage_errors(path):
        return store.read("manifest.json").result().state == "value"


def read_manifest(path: str) -> dict[str, Any]:
    """The manifest of the store at `path`; UserError if there is none or it is damaged."""
    if not is_committed(path):
        raise UserError(
            f"{path}: not a prepared token store, or its preparation was interrupted; "
            "run t2t prepare (again)"
        )
    store = open_kvstore(path)
    with storage_errors(path):
        data = store.read("manifest.json").result().value
    where = f"{path}/manifest.json"
    try:
        manifest = json.loads(data)
        kind, version = manifest["format"], manifest["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{where}: damaged; delete {path} and run t2t prepare") from error
    if kind != FORMAT:
        raise UserError(f"{where}: not the manifest of a token store")
    if version != VERSION:
        raise UserError(
            f"{where}: format version {version}, this t2t reads {VERSION}; prepare the text again"
        )
    try:
        sound = manifest["fingerprint"] == _fingerprint(manifest)
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise UserError(f"{where}: damaged; delete {path} and run t2t prepare")
    return manifest


def _check_files(path: str, manifest: dict[str, Any]) -> None:
    """Raises UserError for a file that is absent or not as long as when it was written."""
    sizes = {part["file"]: part["bytes"] for part in manifest["parts"]}
    sizes |= {name: manifest["offsets"]["bytes"] for name in manifest["offsets"]["files"]}
    fix = f"delete {path} and run t2t prepare"
    if is_local(path):
        root = os.path.expanduser(path)
        for name, size in sizes.items():
            try:
                found = os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                raise UserError(
                    f"{path}/{name}: a file of the token store is gone; {fix}"
                ) from None
            if found != size:
                raise UserError(
                    f"{path}/{name}: truncated or overwritten: {found} bytes, "
                    f"{size} were written; {fix}"
                )
        return
    # Objects are written whole or not at all: to be listed is to be complete.
    store = open_kvstore(path)
    with storage_errors(path):
        listed = {key.decode() for key in store.list().result()}
    for name in sizes:
        if name not in listed:
            raise UserError(f"{path}/{name}: a file of the token store is gone; {fix}")


class TokenStore:
    """A committed store, read at random. Safe to share between threads; pickles as its path and
    manifest, and opens its arrays when first read."""

    def __init__(self, path: str, manifest: dict[str, Any], resident_bytes: int = RESIDENT_BYTES):
        self.path = path
        self.manifest = manifest
        self.num_tokens: int = manifest["num_tokens"]
        self.num_documents: int = manifest["num_documents"]
        self.fingerprint: str = manifest["fingerprint"]
        self.tokenizer_fingerprint: str = manifest["tokenizer"]["fingerprint"]
        self.dtype = np.dtype(manifest["dtype"])
        self.append_eos: bool = manifest["append_eos"]
        self.kind: str = _kind(manifest)
        self.unit: int = UNITS[self.kind]
        self.marked: bool = manifest.get("marked", False)  # whether bits stand beside the ids
        blocks = _blocks(self.num_tokens)
        self._is_resident = blocks * BLOCK * self.dtype.itemsize <= resident_bytes
        self._resident_bytes = resident_bytes
        self._open_lock = threading.Lock()
        self._array = None
        self._offsets: np.ndarray | None = None
        self._memory: np.ndarray | None = None  # [blocks, BLOCK], valid where _present
        self._present: np.ndarray | None = None  # [blocks] bool

    def __reduce__(self):
        return TokenStore, (self.path, self.manifest, self._resident_bytes)

    def __repr__(self) -> str:
        return f"TokenStore({self.path!r}: {self.describe()})"

    def __len__(self) -> int:
        return self.num_tokens

    def describe(self) -> str:
        """Its size in words."""
        units = f"{self.num_documents // self.unit:,} {_CALLED[self.kind]}"
        return f"{units}, {self.num_tokens:,} tokens"

    @property
    def offsets(self) -> np.ndarray:
        """int64 [D+1]: document d is tokens offsets[d]..offsets[d+1]."""
        with self._open_lock:
            if self._offsets is None:
                self._offsets = self._read_offsets()
            return self._offsets

    @property
    def lengths(self) -> np.ndarray:
        """int64 [D]: tokens of each document."""
        return np.diff(self.offsets)

    def read(self, starts: np.ndarray, length: int, marks: bool = False) -> np.ndarray:
        """Rows of the flat array: [B] positions -> int32 [B, length].

        marks: with what is stored beside the ids of a `marked` store (see span_marks).
        Raises IndexError outside of the array, UserError where the stored data is damaged.
        """
        starts = np.asarray(starts, np.int64)
        if starts.ndim != 1 or length < 1:
            raise ValueError(f"starts must be [B] and length positive: {starts.shape}, {length}")
        if not starts.size:
            return np.zeros([0, length], np.int32)
        if starts.min() < 0 or starts.max() + length > self.num_tokens:
            raise IndexError(
                f"{self.path}: rows of {length} from {starts.min()}..{starts.max()} "
                f"in a store of {self.num_tokens} tokens"
            )
        first, last = starts // BLOCK, (starts + length - 1) // BLOCK
        span = np.arange((length + BLOCK - 2) // BLOCK + 1)
        needed = np.unique(np.minimum(first[:, None] + span, last[:, None]))
        if self._is_resident:
            flat = self._resident(needed).reshape(-1)
        else:
            flat = self._read_blocks(needed).reshape(-1)
            # The blocks of one row follow each other in `needed`, so rows stay contiguous.
            starts = np.searchsorted(needed, first) * BLOCK + starts % BLOCK
        # Indexing windows copies a row at a time: four times faster than a [B, length] index.
        windows = np.lib.stride_tricks.sliding_window_view(flat, length)
        rows = windows[starts].astype(np.int32)
        return rows & ID_BITS if self.marked and not marks else rows

    def read_flat(self, begin: int, end: int) -> np.ndarray:
        """Tokens begin..end of the flat array, int32 [end - begin]."""
        if not 0 <= begin <= end <= self.num_tokens:
            raise IndexError(f"{self.path}: {begin}..{end} in a store of {self.num_tokens} tokens")
        if begin == end:
            return np.zeros([0], np.int32)
        return self.read(np.array([begin]), end - begin)[0]

    def document(self, number: int) -> np.ndarray:
        """The tokens of one document, int32 [its length]."""
        offsets = self.offsets
        return self.read_flat(int(offsets[number]), int(offsets[number + 1]))

    def _resident(self, needed: np.ndarray) -> np.ndarray:
        """The in-memory copy, [blocks, BLOCK], filled at least at blocks `needed`."""
        if self._memory is None:
            with self._open_lock:
                if self._memory is None:
                    blocks = _blocks(self.num_tokens)
                    self._present = np.zeros([blocks], bool)
                    self._memory = np.empty([blocks, BLOCK], self.dtype)
        missing = needed[~self._present[needed]]
        if missing.size:
            # Threads that miss the same block write the same bytes; marked present only after.
            self._memory[missing] = self._read_blocks(missing)
            self._present[missing] = True
        return self._memory

    def _tokens(self):
        with self._open_lock:
            if self._array is None:
                import tensorstore as ts

                context = ts.Context({"cache_pool": {"total_bytes_limit": _CACHE_BYTES}})
                with storage_errors(self.path):
                    self._array = ts.open(
                        _array_spec(self.path, "tokens"),
                        read=True,
                        context=context,
                        recheck_cached_data=False,
                    ).result()
            return self._array

    def _read_blocks(self, blocks: np.ndarray) -> np.ndarray:
        """Blocks [N], ascending -> [N, BLOCK] in the stored dtype, verified."""
        array = self._tokens()
        try:
            return array[blocks].read().result()
        except ValueError as error:
            raise self._damage(blocks, error) from error

    def _damage(self, blocks: np.ndarray, error: ValueError) -> Exception:
        """The error to raise for a failed read: reads one by one to find the block at fault."""
        array = self._tokens()
        for block in blocks.tolist():
            try:
                array[block].read().result()
            except ValueError as cause:
                text = str(cause)
                if "DATA_LOSS" not in text and "NOT_FOUND" not in text:
                    break
                part, begin = block // BLOCKS_PER_PART, block * BLOCK
                what = "is missing" if "NOT_FOUND" in text else "fails its checksum"
                return UserError(
                    f"{self.path}/tokens/c/{part}/0: part {part} of the token store is damaged: "
                    f"the block of tokens {begin}..{min(begin + BLOCK, self.num_tokens)} {what}; "
                    f"delete {self.path} and run t2t prepare"
                )
        return Failure(f"{self.path}: cannot be read: {' '.join(str(error).split())[:300]}")

    def _read_offsets(self) -> np.ndarray:
        import tensorstore as ts

        damaged = UserError(f"{self.path}/offsets: damaged; delete {self.path} and run t2t prepare")
        try:
            array = ts.open(_array_spec(self.path, "offsets"), read=True).result()
            offsets = np.ascontiguousarray(array.read().result())
        except ValueError as error:
            if "DATA_LOSS" in str(error) or "NOT_FOUND" in str(error):
                raise damaged from error
            raise Failure(f"{self.path}/offsets: {' '.join(str(error).split())[:300]}") from error
        if offsets.size != self.num_documents + 1 or offsets[-1] != self.num_tokens:
            raise damaged
        return offsets


def open_store(path: str, resident_bytes: int = RESIDENT_BYTES) -> TokenStore:
    """Opens the committed store at `path`.

    `resident_bytes`: a store whose tokens take no more is kept in memory once read. Raises
    UserError where there is no finished store, or a file of it is absent or truncated.
    """
    manifest = read_manifest(path)
    _check_files(path, manifest)
    return TokenStore(path, manifest, resident_bytes)
