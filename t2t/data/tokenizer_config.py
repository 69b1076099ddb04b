"""Which tokenizer: a published vocabulary, one trained on the corpus, bytes, or a run's own."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from t2t.errors import UserError


def _check_extra_ids(extra_ids: int, where: str) -> None:
    if extra_ids < 0:
        raise UserError(f"{where}.extra_ids: must not be negative, got {extra_ids}")


def _check_named(named: tuple[str, ...], where: str) -> None:
    for i, name in enumerate(named):
        if not name.strip() or any(c.isspace() for c in name):
            raise UserError(f"{where}.named[{i}]: {name!r} is not a name without spaces")
        if len(name.encode()) > 100 or name in named[:i]:
            raise UserError(f"{where}.named[{i}]: {name!r} is too long, or named twice")


@dataclass(frozen=True)
class SentencePiece:
    """A SentencePiece model file, or a Hugging Face tokenizer.json of the Unigram kind (local or
    fsspec URL).

    Sentinels the model already holds as `<extra_id_k>` pieces (mT5) are found by name; where it
    holds none (T5), `extra_ids` of them are appended as T5 does, `<extra_id_0>` last. `named` are
    special tokens that an objective asks for ("[MASK]", "[NLU]"); those it lacks come after them.
    """

    path: str
    extra_ids: int = 100
    named: tuple[str, ...] = ()

    def check(self, where: str) -> None:
        if not self.path.strip():
            raise UserError(f"{where}.path: empty; name a SentencePiece .model file")
        _check_extra_ids(self.extra_ids, where)
        _check_named(self.named, where)


@dataclass(frozen=True)
class TrainedSentencePiece:
    """A SentencePiece vocabulary trained on a deterministic sample of the training text.

    `vocabulary_size` counts pieces, before `extra_ids` sentinels and the special tokens `named` are
    appended. `split_digits` makes every digit its own piece; `byte_fallback` spells unknown
    characters as bytes.
    """

    vocabulary_size: int = 32000
    kind: Literal["unigram", "bpe"] = "unigram"
    extra_ids: int = 100
    character_coverage: float = 0.9995
    byte_fallback: bool = False
    split_digits: bool = False
    sample_bytes: int = 100_000_000
    named: tuple[str, ...] = ()

    def check(self, where: str) -> None:
        # 3 special pieces, 256 bytes under fall-back, and room for some characters.
        least = 320 if self.byte_fallback else 64
        if not least <= self.vocabulary_size <= 2_000_000:
            raise UserError(
                f"{where}.vocabulary_size: must be in {least}..2000000, got {self.vocabulary_size}"
            )
        if not 0.9 <= self.character_coverage <= 1.0:
            raise UserError(
                f"{where}.character_coverage: must be in 0.9..1.0, got {self.character_coverage}"
            )
        if self.sample_bytes < 1000:
            raise UserError(f"{where}.sample_bytes: must be at least 1000, got {self.sample_bytes}")
        _check_extra_ids(self.extra_ids, where)
        _check_named(self.named, where)


@dataclass(frozen=True)
class Subwords:
    """A published WordPiece or byte-level BPE vocabulary, or any other tokenizer.json.

    path: `tokenizer.json`, BERT's `vocab.txt`, GPT-2's `vocab.json` with `merges.txt` beside it, or
    a folder that holds one of them (local or fsspec URL). Special tokens are found by the names in
    `tokenizer_config.json` or `special_tokens_map.json` beside it, or else by their usual ones.
    lowercase: of a vocab.txt (None: unless one of its pieces has a capital letter).
    """

    path: str
    lowercase: bool | None = None

    def check(self, where: str) -> None:
        if not self.path.strip():
            raise UserError(f"{where}.path: empty; name a tokenizer.json, a vocab.txt or a folder")


@dataclass(frozen=True)
class TrainedSubwords:
    """WordPiece (BERT's normalisation) or byte-level BPE trained on a sample of the training text.

    `vocabulary_size` counts pieces and special tokens ([PAD] [UNK] [CLS] [SEP] [MASK]; <s> <pad>
    </s> <unk> <mask>), before `extra_ids` sentinels are appended. lowercase: WordPiece only.
    """

    kind: Literal["wordpiece", "byte_bpe"] = "wordpiece"
    vocabulary_size: int = 30522
    lowercase: bool = True
    extra_ids: int = 0
    sample_bytes: int = 100_000_000

    def check(self, where: str) -> None:
        if not 512 <= self.vocabulary_size <= 2_000_000:
            raise UserError(
                f"{where}.vocabulary_size: must be in 512..2000000, got {self.vocabulary_size}"
            )
        if self.sample_bytes < 1000:
            raise UserError(f"{where}.sample_bytes: must be at least 1000, got {self.sample_bytes}")
        if self.kind == "byte_bpe" and not self.lowercase:
            raise UserError(f"{where}.lowercase: byte-level BPE keeps case always; leave it out")
        _check_extra_ids(self.extra_ids, where)


@dataclass(frozen=True)
class Bytes:
    """UTF-8 bytes, id = byte + 3 (ByT5).

    `extra_ids=0` is ByT5 as published: 259 ids, sentinel k = 258 - k. Those are the ids of bytes
    255, 254, ..., 245, which never occur in UTF-8; a twelfth sentinel would be a byte that does, so
    eleven are offered (ByT5's own 1024-byte inputs with mean span 20 need nine). `extra_ids=n`
    appends n ids of their own, sentinel k = 259 + k; 125 is Hugging Face's numbering.
    """

    extra_ids: int = 0

    def check(self, where: str) -> None:
        _check_extra_ids(self.extra_ids, where)


@dataclass(frozen=True)
class RunTokenizer:
    """The very vocabulary that another run was trained with, from the copy in its directory.

    path: that run's directory, or a Hugging Face one; empty: the one that `config.initial` begins
    with, or else that of `config.teacher`.
    """

    path: str = ""

    def check(self, where: str) -> None:
        """Nothing to check: `t2t.run.check` knows what `path` may stand for."""


Trained: TypeAlias = TrainedSentencePiece | TrainedSubwords
Tokenizer: TypeAlias = (
    SentencePiece | TrainedSentencePiece | Subwords | TrainedSubwords | Bytes | RunTokenizer
)
