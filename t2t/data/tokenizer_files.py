"""A run's own copy of its vocabulary: `tokenizer.json`, and `tokenizer.model` unless it is of bytes.

With it a run directory decodes and is fine-tuned wherever it is, and whatever became of the file or
the text that its configuration names.
"""

import json

import fsspec

from t2t.data import files
from t2t.data.subword_tokenizer import SubwordTokenizer
from t2t.data.tokenizers import ByteTokenizer, SentencePieceTokenizer, Tokenizer
from t2t.errors import UserError

MODEL = "tokenizer.model"
_JSON = "tokenizer.json"


def keep(tokenizer: Tokenizer, folder: str) -> None:
    """Writes a run's copy, the JSON last: where that stands the copy is whole."""
    facts = {"class": type(tokenizer).__name__, "extra_ids": tokenizer.extra_ids}
    match tokenizer:
        case SentencePieceTokenizer():
            files.write_bytes(f"{folder}/{MODEL}", tokenizer.processor.serialized_model_proto())
            facts["named"] = list(tokenizer.named)
        case SubwordTokenizer():
            files.write_bytes(f"{folder}/{MODEL}", tokenizer.content.encode())
            facts["tokens"] = tokenizer.tokens
    facts["fingerprint"] = tokenizer.vocabulary.fingerprint
    files.write_bytes(f"{folder}/{_JSON}", (json.dumps(facts) + "\n").encode())


def kept(folder: str) -> Tokenizer | None:
    """Returns the vocabulary kept in a run directory, None where there is none.

    Raises: UserError where it is damaged.
    """
    path = f"{folder}/{_JSON}"
    try:
        with fsspec.open(path, "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        facts = json.loads(text)
        extra_ids, fingerprint = int(facts["extra_ids"]), str(facts["fingerprint"])
        kind, named = facts["class"], tuple(map(str, facts.get("named", ())))
        tokens = dict(facts.get("tokens", {}))
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is damaged; remove it to use config.tokenizer") from None
    if kind == SentencePieceTokenizer.__name__:
        tokenizer = SentencePieceTokenizer(f"{folder}/{MODEL}", extra_ids, named)
    elif kind == SubwordTokenizer.__name__:
        tokenizer = SubwordTokenizer(f"{folder}/{MODEL}", tokens=tokens)
    else:
        tokenizer = ByteTokenizer(extra_ids)
    if tokenizer.vocabulary.fingerprint != fingerprint:
        raise UserError(
            f"{folder}/{MODEL}: is not the vocabulary that {_JSON} says; remove both to use "
            "config.tokenizer"
        )
    return tokenizer
