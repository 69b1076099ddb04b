"""The facts of a vocabulary that data, objectives and models need, whatever tokenizer it is of."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t2t.errors import UserError

PAD, EOS, UNK = 0, 1, 2

# The names by which vocabularies know their special tokens, the first found counts.
_NAMES = {
    "bos_id": ("<s>", "[BOS]", "<|startoftext|>", "<|begin_of_text|>", "<bos>"),
    "cls_id": ("[CLS]", "<cls>", "<s>"),
    "sep_id": ("[SEP]", "<sep>", "</s>"),
    "mask_id": ("[MASK]", "<mask>"),
}
_CLOSES = re.compile(r"[.!?…。！？][\"'”’)\]]*$")
# What stands before a word's first piece: SentencePiece, byte-level BPE (space, newline, tab), bytes.
_OPENERS = ("▁", "Ġ", "Ċ", "ĉ", " ", "<0x0A>", "<0x0D>", "<0x09>")


@dataclass(frozen=True)
class Vocabulary:
    """The facts of a tokenizer that data and models need.

    `size` counts the ids it can yield, sentinels included (T5: 32100; models pad it further).
    `sentinels[k]` is the id of `<extra_id_k>`. `fingerprint` (32 hex digits) is the same for two
    tokenizers exactly when they give the same ids, as far as their content tells.
    `named` are (name, id) of further special tokens. `separators`: how many [SEP]s stand between two texts
    of one row (RoBERTa: 2). `marks` (see `piece_marks`), `counts` (see t2t.data.token_counts), `labels` (the
    tokens of each label of a classifier) and `markers` (those of each discourse marker with its comma) are
    empty unless asked for.
    """

    size: int
    sentinels: tuple[int, ...]
    fingerprint: str
    pad_id: int = PAD
    eos_id: int = EOS
    unk_id: int = UNK
    bos_id: int | None = None
    cls_id: int | None = None
    sep_id: int | None = None
    mask_id: int | None = None
    named: tuple[tuple[str, int], ...] = ()
    marks: bytes = b""
    counts: bytes = b""
    labels: tuple[tuple[int, ...], ...] = ()
    markers: tuple[tuple[int, ...], ...] = ()
    separators: int = 1

    @property
    def start_id(self) -> int:
        """What a decoder alone reads before a text: its own token, or the end of the text before."""
        return self.eos_id if self.bos_id is None else self.bos_id

    def special_ids(self) -> list[int]:
        """Ids, ascending, that stand for no text."""
        roles = (self.pad_id, self.eos_id, self.unk_id, self.bos_id, self.cls_id, self.sep_id)
        found = {*roles, self.mask_id, *self.sentinels, *(index for _, index in self.named)}
        return sorted(found - {None})


def roles(ids: Mapping[str, int]) -> dict[str, int | None]:
    """Returns who is who among special tokens {name: id}: bos_id, cls_id, sep_id, mask_id."""
    return {
        role: next((ids[name] for name in names if name in ids), None)
        for role, names in _NAMES.items()
    }


# What masking puts in the place of tokens, and around a text.
MASKING_ROLES = ("mask", "cls", "sep")


def require_roles(vocabulary: Vocabulary, names: Iterable[str], where: str) -> None:
    """Raises UserError, which begins with `where`, unless the vocabulary has a token of each role."""
    for name in names:
        if getattr(vocabulary, f"{name}_id") is None:
            raise UserError(
                f"{where}: the vocabulary has no [{name.upper()}]; take Subwords or TrainedSubwords, "
                "or name it in config.tokenizer.named"
            )


def kept_ids(vocabulary: Vocabulary, ids: Iterable[int], stop_at_eos: bool) -> list[int]:
    """Ids as Python ints, cut at the first EOS if told so, unknown ones as UNK, padding left out."""
    eos, pad = vocabulary.eos_id, vocabulary.pad_id
    ids = np.asarray(list(ids) if not isinstance(ids, np.ndarray) else ids).reshape(-1)
    if stop_at_eos:
        (ends,) = np.nonzero(ids == eos)
        ids = ids[: ends[0]] if len(ends) else ids
    ids = np.where((ids < 0) | (ids >= vocabulary.size), vocabulary.unk_id, ids)
    return ids[(ids != pad) & (ids != eos)].tolist()


# Bits of a piece's mark.
BEGINS_WORD, ENDS_SENTENCE, SPECIAL = 1, 2, 4


def piece_marks(pieces: Sequence[str], vocabulary: Vocabulary) -> bytes:
    """Returns a byte an id: does it begin a word, may a sentence end with it, is it special.

    Words are as the pieces tell: WordPiece's `##` goes on with one (punctuation is a word of its
    own), in all others a space begins one (punctuation belongs to the word before).
    """
    special = set(vocabulary.special_ids())
    wordpiece = any(len(piece) > 2 and piece.startswith("##") for piece in pieces)
    marks = bytearray(len(pieces))
    for index, piece in enumerate(pieces):
        begins = not piece.startswith("##") if wordpiece else piece.startswith(_OPENERS)
        mark = BEGINS_WORD * begins | ENDS_SENTENCE * bool(_CLOSES.search(piece))
        marks[index] = BEGINS_WORD | SPECIAL if index in special else mark
    return bytes(marks)
