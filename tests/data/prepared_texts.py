"""Corpora of random texts, and what a store of them must hold."""

import gzip
import json

import numpy as np

from t2t.data.prepare import prepare


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


def quiet(source, tokenizer, path, **options):
    return prepare(source, tokenizer, str(path), progress=False, **options)
