"""Documents of the shared books as ids, cheaply: words and marks are the pieces of a vocabulary.

The vocabulary is of WordPiece's kind: a word's first three letters, then `##` and the next three.
"""

import functools
import gzip
import json
import re

import numpy as np

from t2t.data.vocabulary import Vocabulary, piece_marks

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def pieces(text: str) -> list[str]:
    """The pieces of a text."""
    words = re.findall(r"\w+|[^\w\s]", text)
    return [
        ("##" if at else "") + word[at : at + 3] for word in words for at in range(0, len(word), 3)
    ]


@functools.lru_cache
def books(path: str, characters: int = 300_000) -> tuple[Vocabulary, tuple[np.ndarray, ...]]:
    """Returns (the vocabulary, the documents); each document ends with [SEP], its end of sequence."""
    with gzip.open(path, "rt") as file:
        texts = [json.loads(line)["text"][:characters] for line in file]
    ids = {piece: index for index, piece in enumerate(SPECIAL)}
    documents = []
    for text in texts:
        found = [ids.setdefault(piece, len(ids)) for piece in pieces(text)]
        documents.append(np.array([*found, 3], np.int32))
    facts = Vocabulary(
        len(ids), (), "books", pad_id=0, eos_id=3, unk_id=1, cls_id=2, sep_id=3, mask_id=4
    )
    marks = piece_marks(list(ids), facts)
    facts = Vocabulary(
        len(ids),
        (),
        "books",
        pad_id=0,
        eos_id=3,
        unk_id=1,
        cls_id=2,
        sep_id=3,
        mask_id=4,
        marks=marks,
    )
    return facts, tuple(documents)
