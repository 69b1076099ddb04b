"""From documents to a token store: read, encode on all cores, put together, commit.

Two passes. First the documents are cut into pieces, which are encoded and staged in any order;
then the token count of every piece is known, and the flat array is put together part by part from
the pieces. The second pass costs a few percent and makes the store one array in document order,
whatever the number of workers, files and interruptions.
"""

import dataclasses
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator

import numpy as np

from t2t.data import prepare_progress, sources, staging, store_assembly, token_store, tokenizers
from t2t.data.answer_marks import answer_marks
from t2t.data.pairs import Pairs
from t2t.data.prepare_workers import Counts, Stopped, Workers
from t2t.data.source_config import Jsonl, Prepared, Source
from t2t.data.sources import Shard
from t2t.data.span_marks import token_marks
from t2t.data.staging import Piece
from t2t.data.storage import is_local, locked, storage_errors
from t2t.data.token_store import UNITS, TokenStore, open_store
from t2t.errors import UserError

# Changing any of these changes what is staged or prepared: they are part of the plan.
PIECE_CHARACTERS = 4_000_000  # a piece ends with the document that reaches this
MOST_GROUPS = 256  # consecutive shards are read as one group, so that tiny files share pieces

# One process reads and unzips about ten times as fast as one encodes. With more workers than this
# they read for themselves, a group each, if there are enough groups.
WORKERS_OF_ONE_READER = 8


@dataclasses.dataclass(frozen=True)
class _Job:
    """What every worker needs to know."""

    path: str
    tokenizer: tokenizers.Tokenizer
    dtype: np.dtype
    append_eos: bool
    share: tuple[float, float]
    piece_characters: int
    unit: int  # documents that stay together: the 2 or 3 of a pair, else 1
    marked: bool  # whether tokens are stored with marks (see span_marks, of pairs answer_marks)


# A shard with its number in the source: the number decides which share a document is in.
_Group = list[tuple[int, Shard]]


def _in_share(shard: int, document: int, share: tuple[float, float]) -> bool:
    """Whether the keyed hash of (shard, document), uniform in [0, 1), lies in [lo, hi)."""
    if share == (0.0, 1.0):
        return True
    digest = hashlib.blake2b(
        struct.pack("<qq", shard, document), digest_size=8, key=b"t2t documents_share"
    ).digest()
    # 53 bits: exact as a float, never rounded up to 1.
    return share[0] <= (int.from_bytes(digest, "little") >> 11) / 2.0**53 < share[1]


def _pieces(job: _Job, group: _Group) -> Iterator[list[str]]:
    """The documents of a group that are in the job's share, cut into pieces."""
    texts: list[str] = []
    characters = 0
    for number, shard in group:
        for document, text in enumerate(sources.documents(shard)):
            if not _in_share(number, document // job.unit, job.share):
                continue
            texts.append(text)
            characters += len(text)
            if characters >= job.piece_characters and len(texts) % job.unit == 0:
                yield texts
                texts, characters = [], 0
    if texts:
        yield texts


def _encode_piece(
    job: _Job,
    counts: Counts,
    stopped: Callable[[], bool],
    group: int,
    number: int,
    texts: list[str],
) -> None:
    """Encodes and stages one piece."""
    vocabulary = job.tokenizer.vocabulary
    # A document of characters that the vocabulary drops has no token: it is left out, but for one
    # that belongs to a pair.
    marks = [np.zeros([0], np.int32)]
    if job.marked:
        found = job.tokenizer.encode_with_offsets(texts)
        marks_of = answer_marks if job.unit > 1 else token_marks
        rows = [ids for ids, _ in found]
        marks += [marks_of(text, at) for text, (_, at) in zip(texts, found, strict=True)]
    else:
        rows = job.tokenizer.encode(texts)
    ids = [row for row in rows if row.size or job.unit > 1]
    if job.append_eos:
        eos = np.array([vocabulary.eos_id], np.int32)
        ids = [np.concatenate([row, eos]) for row in ids]
        marks = [np.append(row, 0) if row.size else row for row in marks]
    tokens = np.concatenate([np.zeros([0], np.int32), *ids])
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocabulary.size:
        raise ValueError(f"the tokenizer gave ids outside of its {vocabulary.size}")
    if job.marked:
        tokens = tokens | np.concatenate(marks).astype(np.int32)
    lengths = np.array([row.size for row in ids], np.int64)
    text_bytes = sum(len(text.encode()) for text in texts)
    piece = Piece(group, number, lengths.size, tokens.size, text_bytes)
    staging.write_piece(job.path, piece, tokens.astype(job.dtype), lengths)
    counts.add(piece.documents, piece.tokens, piece.text_bytes)


def _encode_group(
    job: _Job,
    counts: Counts,
    stopped: Callable[[], bool],
    number: int,
    group: _Group,
    staged: frozenset[int],
) -> None:
    """Reads, encodes and stages a whole group, but for the pieces that are `staged`."""
    count = 0
    for count, texts in enumerate(_pieces(job, group), start=1):
        if stopped():
            raise Stopped
        if count - 1 not in staged:
            _encode_piece(job, counts, stopped, number, count - 1, texts)
    staging.mark_read(job.path, number, count)


def _encode_all(job: _Job, groups: list[_Group], workers: Workers) -> None:
    """Stages every piece that is not there yet."""
    state = staging.state(job.path)
    workers_read = workers.count > WORKERS_OF_ONE_READER and len(groups) >= workers.count
    for number, group in enumerate(groups):
        if state.is_complete(number):
            continue
        staged = state.numbers(number)
        if workers_read and not workers.is_inline:
            workers.submit(0, _encode_group, number, group, staged)
            continue
        count = 0
        for count, texts in enumerate(_pieces(job, group), start=1):
            if count - 1 not in staged:
                size = sum(map(len, texts))
                workers.submit(size, _encode_piece, number, count - 1, texts)
        staging.mark_read(job.path, number, count)
    workers.drain()


def _plan(source: Source | Pairs, tokenizer, share: tuple[float, float], append_eos: bool) -> dict:
    """Everything the content of a store follows from."""
    lo, hi = share
    if not 0.0 <= lo < hi <= 1.0:
        raise UserError(f"documents_share: must be 0 <= from < to <= 1, got {lo} to {hi}")
    if append_eos and isinstance(source, Pairs):
        raise ValueError("the objective ends inputs and targets of pairs, not their store")
    return {
        "version": token_store.VERSION,
        "source": sources.fingerprint(source),
        "tokenizer": tokenizer.vocabulary.fingerprint,
        "documents_share": [float(lo), float(hi)],
        "append_eos": append_eos,
        "cut": [PIECE_CHARACTERS, MOST_GROUPS],
    }


def _describe(source: Source | Pairs) -> str:
    names = sources.names(source)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{type(source).__name__}: {', '.join(names[:3])}{more}"


def _loaded(tokenizer):
    return tokenizer if hasattr(tokenizer, "encode") else tokenizers.load(tokenizer)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_folder(path: str) -> None:
    """Refuses a folder with files of someone else's: `tokens` in it would be overwritten."""
    if is_local(path):
        with storage_errors(path):
            found = set(os.listdir(os.path.expanduser(path))) - {".lock"}
        if found and "staging" not in found:
            raise UserError(
                f"{path}: neither empty nor a token store (it holds {min(found)!r}); "
                "name another folder"
            )


def prepare(
    source: Source | Pairs,
    tokenizer,
    path: str,
    *,
    documents_share: tuple[float, float] = (0.0, 1.0),
    append_eos: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> TokenStore:
    """Prepares `source` into the folder `path` and opens the result.

    Of pairs documents 2i and 2i + 1 are input and target i (3i to 3i + 2 where an input is two texts).
    `tokenizer` is loaded, or a configuration to load. `documents_share` keeps the documents whose
    keyed hash lies in [from, to): shares that do not overlap share no document. `append_eos` ends
    every document with EOS (for causal models; T5 concatenates documents without). `workers`:
    processes, by default one a core. Interrupted at any moment, the same call goes on where it
    stopped, with the same result. A `path` that already holds this very store is opened.

    Raises UserError for an empty source, for whatever is wrong with its files, and where `path`
    holds something else; Failure where the disk is full or a worker was killed.
    """
    tokenizer = _loaded(tokenizer)
    plan = _plan(source, tokenizer, documents_share, append_eos)
    with locked(path):
        if token_store.is_committed(path):
            store = open_store(path)
            if store.manifest.get("plan") != plan:
                raise UserError(
                    f"{path}: holds another token store, of {store.manifest['source']}; "
                    "delete it or name another folder"
                )
            staging.discard(path)  # left behind by a process killed right after its commit
            return store
        _check_folder(path)
        staging.begin(path, plan)
        facts = _prepare_staged(
            source, tokenizer, path, documents_share, append_eos, workers, progress
        )
        token_store.commit(path, {**facts, "source": _describe(source), "plan": plan})
        staging.discard(path)
    return open_store(path)


def _prepare_staged(source, tokenizer, path, share, append_eos, workers, progress) -> dict:
    """All of `prepare` between the lock and the commit; returns the manifest's facts."""
    paired = isinstance(source, Pairs)
    marked = source.answered if paired else isinstance(source, Jsonl) and bool(source.spans)
    if marked and not hasattr(tokenizer, "encode_with_offsets"):
        raise UserError(
            f"{_describe(source)}: tokens of this vocabulary are not told from characters, which "
            f"{'answers' if paired else 'spans'} count; take Subwords or TrainedSubwords"
        )
    dtype = np.dtype("<u4") if marked else token_store.token_dtype(tokenizer.vocabulary.size)
    share = (float(share[0]), float(share[1]))
    unit = source.width if paired else 1
    job = _Job(path, tokenizer, dtype, append_eos, share, PIECE_CHARACTERS, unit, marked)
    shards = list(enumerate(sources.shards(source)))
    size = max(1, -(-len(shards) // MOST_GROUPS))
    groups = [shards[i : i + size] for i in range(0, len(shards), size)]

    staged = staging.state(path).pieces.values()
    done = tuple(
        sum(getattr(p, name) for p in staged) for name in ("documents", "tokens", "text_bytes")
    )
    counts = Counts(done)
    total = prepare_progress.text_bytes(shard for _, shard in shards)
    total = total if total is None else int(total * (share[1] - share[0]))
    display = prepare_progress.Display(progress, total, initial_bytes=done[2])
    summary = None
    try:
        with Workers(job, counts, workers or _cores(), lambda: display.show(*counts.get())) as pool:
            _encode_all(job, groups, pool)
            pieces = sorted(staging.state(path).pieces.values())
            documents, tokens, text_bytes = counts.get()
            if not tokens:
                of_share = f" in the share {share[0]} to {share[1]}" if share != (0.0, 1.0) else ""
                raise UserError(
                    f"{_describe(source)}: no document with text{of_share}; nothing to prepare"
                )
            arrays = store_assembly.put_together(path, dtype, pieces, pool)
        units = f"{documents // job.unit:,} {'pairs' if paired else 'documents'}"
        summary = f"{units}, {tokens:,} tokens, {text_bytes / 1e6:,.1f} MB of text -> {path}"
        return {
            **arrays,
            "kind": next(kind for kind, documents in UNITS.items() if documents == unit),
            "append_eos": append_eos,
            **({"marked": True} if marked else {}),
            "tokenizer": {
                "fingerprint": tokenizer.vocabulary.fingerprint,
                "size": tokenizer.vocabulary.size,
            },
        }
    finally:
        display.close(summary)


def prepared_path(
    cache_dir: str,
    source: Source | Pairs,
    tokenizer,
    documents_share: tuple[float, float] = (0.0, 1.0),
    append_eos: bool = False,
) -> str:
    """Where `ensure` keeps the store of these: a folder of `cache_dir` named by their fingerprint."""
    plan = _plan(source, _loaded(tokenizer), documents_share, append_eos)
    name = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:32]
    return f"{cache_dir.rstrip('/')}/stores/{name}"


def ensure(
    cache_dir: str,
    source: Source | Pairs,
    tokenizer,
    *,
    documents_share: tuple[float, float] = (0.0, 1.0),
    append_eos: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> TokenStore:
    """The token store of `source`: opened from `cache_dir` if it is there, else prepared into it.

    Of processes that start together one prepares and the others wait. `Prepared` sources are
    opened, and must have been made with this tokenizer.
    """
    tokenizer = _loaded(tokenizer)
    if isinstance(source, Prepared):
        return _open_prepared(source, tokenizer, documents_share, append_eos)
    path = prepared_path(cache_dir, source, tokenizer, documents_share, append_eos)
    if token_store.is_committed(path):
        return open_store(path)
    return prepare(
        source,
        tokenizer,
        path,
        documents_share=documents_share,
        append_eos=append_eos,
        workers=workers,
        progress=progress,
    )


def _open_prepared(source: Prepared, tokenizer, share, append_eos: bool) -> TokenStore:
    store = open_store(source.path)
    if store.tokenizer_fingerprint != tokenizer.vocabulary.fingerprint:
        raise UserError(
            f"{source.path}: was prepared with another tokenizer "
            f"({store.tokenizer_fingerprint}, not {tokenizer.vocabulary.fingerprint}); prepare the text again"
        )
    if tuple(share) != (0.0, 1.0):
        raise UserError(
            f"{source.path}: a prepared store is used whole, not the share {share[0]} to {share[1]}; "
            "prepare that share of the text instead"
        )
    if append_eos != store.append_eos:
        raise UserError(
            f"{source.path}: was prepared with append_eos={store.append_eos}, not {append_eos}; "
            "prepare the text again"
        )
    return store
