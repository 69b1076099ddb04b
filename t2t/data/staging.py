"""What a preparation has finished so far: encoded pieces beside the store until it is committed.

    STORE/staging/plan.json             what is being prepared; another plan discards the pieces
    STORE/staging/G-N-D-T-B.piece       piece N of group G: D documents, T tokens, B bytes of text
    STORE/staging/G-N.read              group G is read to its end and has N pieces

A name tells everything about its piece, so one listing of the folder is the state of the work. A
key is written whole or not at all, so a process killed at any moment leaves only finished pieces.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np

from t2t.data.storage import is_local, kvstore, storage_errors
from t2t.errors import Failure

_PIECE = re.compile(r"(\d{6})-(\d{6})-(\d+)-(\d+)-(\d+)\.piece")
_READ = re.compile(r"(\d{6})-(\d+)\.read")
_DIGEST_BYTES = 32


@dataclass(frozen=True, order=True)
class Piece:
    """A run of documents of one group, encoded."""

    group: int
    number: int
    documents: int
    tokens: int
    text_bytes: int

    @property
    def name(self) -> str:
        facts = f"{self.documents}-{self.tokens}-{self.text_bytes}"
        return f"{self.group:06d}-{self.number:06d}-{facts}.piece"


@dataclass(frozen=True)
class State:
    """`pieces` by (group, number); `piece_counts` of the groups that were read to their end."""

    pieces: dict[tuple[int, int], Piece]
    piece_counts: dict[int, int]

    def numbers(self, group: int) -> frozenset[int]:
        """The pieces of `group` that are there."""
        return frozenset(number for g, number in self.pieces if g == group)

    def is_complete(self, group: int) -> bool:
        count = self.piece_counts.get(group)
        return count is not None and all((group, n) in self.pieces for n in range(count))


def _folder(path: str) -> str:
    return path.rstrip("/") + "/staging"


def _open(path: str):
    import tensorstore as ts

    # Not synced to the disk one by one: after a power cut the digest of a piece tells.
    context = ts.Context({"file_io_sync": False})
    with storage_errors(path):
        return ts.KvStore.open(kvstore(_folder(path)), context=context).result()


def begin(path: str, plan: dict[str, Any]) -> None:
    """Keeps what an interrupted preparation of the same `plan` has staged, discards any other."""
    store = _open(path)
    data = json.dumps(plan, sort_keys=True).encode()
    with storage_errors(path):
        if store.read("plan.json").result().value == data:
            return
        discard(path)
        store.write("plan.json", data).result()


def state(path: str) -> State:
    """The pieces staged so far."""
    pieces, counts = {}, {}
    store = _open(path)
    with storage_errors(path):
        names = [key.decode() for key in store.list().result()]
    for name in names:
        if match := _PIECE.fullmatch(name):
            piece = Piece(*map(int, match.groups()))
            pieces[piece.group, piece.number] = piece
        elif match := _READ.fullmatch(name):
            counts[int(match.group(1))] = int(match.group(2))
    return State(pieces, counts)


def write_piece(path: str, piece: Piece, tokens: np.ndarray, lengths: np.ndarray) -> None:
    """Stages one piece: tokens [T] in the store's dtype, lengths int64 [D] of its documents."""
    data = lengths.astype("<i8").tobytes() + tokens.tobytes()
    store = _open(path)
    with storage_errors(path):
        store.write(piece.name, hashlib.sha256(data).digest() + data).result()


def read_piece(path: str, piece: Piece, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The tokens and the document lengths of a staged piece."""
    store = _open(path)
    with storage_errors(path):
        stored = store.read(piece.name).result().value
    digest, data = stored[:_DIGEST_BYTES], memoryview(stored)[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        with storage_errors(path):
            store.write(piece.name, None).result()
        raise Failure(
            f"{_folder(path)}/{piece.name}: damaged on disk, so it was deleted; "
            "run the same command again to encode it anew"
        )
    lengths = np.frombuffer(data[: 8 * piece.documents], "<i8")
    return np.frombuffer(data[8 * piece.documents :], dtype), lengths


def mark_read(path: str, group: int, pieces: int) -> None:
    """Notes that `group` has no more than `pieces` pieces."""
    store = _open(path)
    with storage_errors(path):
        store.write(f"{group:06d}-{pieces}.read", b"").result()


def discard(path: str) -> None:
    """Deletes everything staged."""
    if is_local(path):
        shutil.rmtree(os.path.expanduser(_folder(path)), ignore_errors=True)
        return
    import tensorstore as ts

    with storage_errors(path):
        _open(path).delete_range(ts.KvStore.KeyRange()).result()
