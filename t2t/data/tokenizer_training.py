"""Trains a vocabulary on a bounded, deterministic sample of documents.

SentencePiece logs from C++ to the process's stderr and cannot be interrupted, so it runs in a child
process whose log becomes a progress bar. The same sample and settings give the same model file,
byte for byte, on any number of cores: the number of threads, which changes the order in which
expected counts are summed, is fixed.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from t2t.data import files, subword_training
from t2t.data.source_config import Source
from t2t.data.sources import Shard, documents, fingerprint, shards
from t2t.data.tokenizer_config import Trained, TrainedSentencePiece, TrainedSubwords
from t2t.errors import Failure, UserError

THREADS = 16
_LINE_CHARACTERS = 1000  # SentencePiece drops lines over 4192 bytes; no character takes over 4
_MOST_OPEN = 64
_END = b"\x04\n"

# Part of the identity of a trained vocabulary: raise it when the same sample would train another.
TRAINER_VERSION = 1


def trained_path(cache_dir: str, config: Trained, sources: Sequence[Source]) -> str:
    """Where the vocabulary trained by `config` on `sources` is kept: under a hash of all it
    depends on (see sources.fingerprint)."""
    settings = asdict(config)
    settings.pop("named", None)  # they are appended when it is loaded
    identity = [TRAINER_VERSION, settings, [fingerprint(source) for source in sources]]
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    return f"{cache_dir.rstrip('/')}/tokenizers/{name}.model"


def train_on(
    config: Trained,
    sources: Sequence[Source],
    path: str,
    progress: bool | None = None,
) -> None:
    """Trains on a sample of `sources` and writes the model to `path`; see `train`."""
    if isinstance(config, TrainedSubwords):
        return subword_training.train(config, sample(sources, config.sample_bytes), path)
    train(config, sample(sources, config.sample_bytes), path, progress)


def sample(sources: Sequence[Source], sample_bytes: int) -> Iterator[str]:
    """Documents from all over `sources` until they hold `sample_bytes` of UTF-8.

    The shards of all sources are read in turns, a document each, up to 64 at a time, those spread
    evenly first; so little more is read than is yielded. The order is fixed.
    """
    parts = [shard for source in sources for shard in shards(source)]
    waiting = deque(_spread(parts))
    reading: deque[Iterator[str]] = deque()
    left = sample_bytes
    while waiting or reading:
        while waiting and len(reading) < _MOST_OPEN:
            reading.append(documents(waiting.popleft()))
        turn = reading.popleft()
        text = next(turn, None)
        if text is None:
            continue
        reading.append(turn)
        yield text
        left -= len(text.encode())
        if left <= 0:
            return


def _spread(parts: list[Shard]) -> list[Shard]:
    """The same shards, in an order whose beginnings are spread evenly over the list."""
    golden = (math.sqrt(5) - 1) / 2
    return [parts[i] for i in sorted(range(len(parts)), key=lambda i: i * golden % 1)]


def train(
    config: TrainedSentencePiece, texts: Iterable[str], path: str, progress: bool | None = None
) -> None:
    """Trains on the first `config.sample_bytes` of `texts` and writes the model to `path`.

    The file appears whole or not at all. `progress` draws a bar on stderr; by default where stderr
    is a terminal, with one plain line otherwise.
    Raises UserError when the text cannot give so large (or so small) a vocabulary.
    """
    began = time.monotonic()
    progress = sys.stderr.isatty() if progress is None else progress
    lines = list(_lines(texts, config.sample_bytes))
    if not lines:
        raise UserError("the tokenizer's sample is empty: the sources hold no text to train it on")
    model = _run_child(config, lines, progress)
    files.write_bytes(path, model)
    if not progress:
        size = sum(map(len, lines)) / 1e6
        print(
            f"trained a tokenizer: {config.vocabulary_size} {config.kind} pieces "
            f"from {size:.1f} MB of text in {time.monotonic() - began:.1f} s",
            file=sys.stderr,
        )


def _lines(texts: Iterable[str], most_bytes: int) -> Iterator[bytes]:
    """The lines of the texts, long ones cut at spaces, until `most_bytes` are reached."""
    left = most_bytes
    for text in texts:
        for line in text.splitlines():
            line = line.replace("\x04", " ").strip()
            while line:
                cut = len(line)
                if cut > _LINE_CHARACTERS:
                    cut = line.rfind(" ", 1, _LINE_CHARACTERS)
                    cut = cut if cut > 0 else _LINE_CHARACTERS
                encoded = line[:cut].encode()
                left -= len(encoded)
                if left < 0:
                    return
                yield encoded
                line = line[cut:].lstrip()


def _options(config: TrainedSentencePiece) -> dict:
    """SentencePiece's options: T5's special ids and normalisation, the rest its own defaults."""
    return {
        "vocab_size": config.vocabulary_size,
        "model_type": config.kind,
        "character_coverage": config.character_coverage,
        "byte_fallback": config.byte_fallback,
        "split_digits": config.split_digits,
        "normalization_rule_name": "nmt_nfkc",
        "pad_id": 0,
        "eos_id": 1,
        "unk_id": 2,
        "bos_id": -1,
        "num_threads": THREADS,
    }


def _run_child(config: TrainedSentencePiece, lines: list[bytes], progress: bool) -> bytes:
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    search = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")]))
    child = subprocess.Popen(
        [sys.executable, "-m", "t2t.data.sentencepiece_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search},
    )
    log: deque[str] = deque(maxlen=40)
    watcher = threading.Thread(target=_watch, args=(child.stderr, config, log, progress))
    watcher.start()
    try:
        with contextlib.suppress(BrokenPipeError):  # a child that died has said why
            child.stdin.write(json.dumps(_options(config)).encode() + b"\n")
            for line in lines:
                child.stdin.write(line + b"\n")
            child.stdin.write(_END)
            child.stdin.flush()
        # stdin stays open: its end tells the child that this process is gone.
        model = child.stdout.read()
    except BaseException:
        child.kill()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        code = child.wait()
        watcher.join()
        child.stdout.close()
        child.stderr.close()
    if code:
        raise _explained(config, list(log), code)
    return model


def _watch(stream, config: TrainedSentencePiece, log: deque[str], progress: bool) -> None:
    """Keeps the end of the child's log; draws how far it is.

    Unigram training starts from many pieces and removes a quarter at a time, so the logarithm of
    their number tells how far it is; BPE adds its pieces one by one.
    """
    from tqdm import tqdm

    bar = tqdm(
        total=100,
        desc=f"tokenizer ({config.vocabulary_size} {config.kind})",
        disable=not progress,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        leave=True,
    )
    target, most = config.vocabulary_size, 0
    with bar:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            log.append(line)
            if found := re.search(r"(?:EM sub_iter.*size|merges|all)=(\d+)", line):
                count = int(found.group(1))
                most = max(most, count)
                if config.kind == "bpe":
                    done = count / target
                else:
                    done = math.log(most / count) / max(math.log(most / target), 1e-9)
                bar.update(max(0.0, min(99.0, 100 * done) - bar.n))
            elif "Initialized" in line and (found := re.search(r"Initialized (\d+) seed", line)):
                most = int(found.group(1))
        bar.update(100 - bar.n)


def _explained(config: TrainedSentencePiece, log: list[str], code: int) -> Exception:
    """What SentencePiece's complaint means for the configuration."""
    text = " ".join(log)
    asked = f"tokenizer.vocabulary_size: {config.vocabulary_size} pieces"
    if found := re.search(r"Vocabulary size too high.*?value <= (\d+)", text):
        return UserError(
            f"{asked} are more than the text gives; set at most {found.group(1)}, "
            "or give it more text"
        )
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", text):
        return UserError(
            f"{asked} are fewer than the text's characters; set at least {found.group(1)}, "
            "or lower tokenizer.character_coverage"
        )
    last = next((line for line in reversed(log) if line.strip()), f"exit code {code}")
    return Failure(f"training the tokenizer failed: {last.strip()}")
