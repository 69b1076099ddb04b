"""Text to ids and back: SentencePiece (T5, mT5 or trained here) and bytes (ByT5), with sentinels.

Ids 0, 1, 2 are padding, end of sequence and unknown in both, as in T5; subword_tokenizer.py has the
others. No encoder adds the end of sequence; objectives do.
"""

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from t2t.data import files
from t2t.data.subword_tokenizer import SubwordTokenizer
from t2t.data.tokenizer_config import (
    Bytes,
    SentencePiece,
    Subwords,
    TrainedSentencePiece,
    TrainedSubwords,
)
from t2t.data.unigram_json import is_json, sentencepiece_model
from t2t.data.vocabulary import EOS, PAD, UNK, Vocabulary, kept_ids, roles
from t2t.errors import UserError

_SENTINEL = re.compile(r"<extra_id_(\d+)>")
_BYTE_OFFSET = 3
_NEVER_UTF8 = 11  # bytes 245..255 occur in no UTF-8 text


class Tokenizer(Protocol):
    """What every tokenizer does. Picklable: a worker process loads its own model when it first
    needs it."""

    vocabulary: Vocabulary

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids (int32) of each text, without end of sequence. `<extra_id_k>` in a text becomes
        sentinel k."""
        ...

    def decode(self, ids: Iterable[int], stop_at_eos: bool = True) -> str:
        """The text of `ids`; sentinels appear as `<extra_id_k>`, padding and end of sequence do
        not; ids outside the vocabulary are unknown. Unless told otherwise nothing after the first
        end of sequence is shown."""
        ...

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """One readable string an id."""
        ...


def load(
    config: SentencePiece | TrainedSentencePiece | Subwords | TrainedSubwords | Bytes,
    trained_path: str | None = None,
) -> Tokenizer:
    """The tokenizer a configuration names. `trained_path` is where the model of one that is trained
    stands (see tokenizer_training.train_on).

    Raises UserError when the vocabulary file is missing or not of that kind.
    """
    if isinstance(config, TrainedSentencePiece | TrainedSubwords) and trained_path is None:
        raise ValueError("a vocabulary that is trained is loaded from the path it was trained to")
    match config:
        case Bytes():
            return ByteTokenizer(config.extra_ids)
        case TrainedSentencePiece():
            return SentencePieceTokenizer(trained_path, config.extra_ids, config.named)
        case SentencePiece():
            return SentencePieceTokenizer(config.path, config.extra_ids, config.named)
        case TrainedSubwords():
            return SubwordTokenizer(trained_path)
        case Subwords():
            return SubwordTokenizer(config.path, config.lowercase)


class SentencePieceTokenizer:
    """A SentencePiece model, its sentinels among its pieces.

    Sentinels are USER_DEFINED pieces `▁<extra_id_k>`, as in T5's own vocabulary, so a sentinel
    swallows the space before it. T5 knows them only at the start of a word; here a text's
    `(<extra_id_0>)` is given the space that makes it one.
    """

    def __init__(self, path: str, extra_ids: int = 100, named: Sequence[str] = ()):
        self.path, self.extra_ids, self.named = path, extra_ids, tuple(named)
        self._processor = None
        self.vocabulary = self._facts()

    def __getstate__(self):
        return {**self.__dict__, "_processor": None}

    def _facts(self) -> Vocabulary:
        processor = self.processor
        special = (processor.pad_id(), processor.eos_id(), processor.unk_id())
        if special != (PAD, EOS, UNK):
            raise UserError(
                f"{self.path}: padding, end of sequence and unknown have the ids {special}, "
                f"not {(PAD, EOS, UNK)}; train the vocabulary with pad_id=0, eos_id=1, unk_id=2"
            )
        size = processor.get_piece_size()
        sentinels = _find_sentinels(processor)
        content = hashlib.sha256(processor.serialized_model_proto()).hexdigest()[:32]
        named = {name: processor.piece_to_id(name) for name in self.named}
        ends = {"</s>": EOS}
        if processor.bos_id() >= 0:
            ends["<s>"] = processor.bos_id()
        return Vocabulary(
            size=size,
            sentinels=sentinels,
            fingerprint=content,
            named=tuple(named.items()),
            **roles({**ends, **named}),
        )

    @property
    def processor(self):
        """The SentencePiece processor with all sentinels inside, loaded when first asked for."""
        if self._processor is None:
            self._processor = _load_model(self.path, self.extra_ids, self.named)
        return self._processor

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        texts = [_spaced(text) if "<extra_id_" in text else text for text in texts]
        # One thread: parallel work is cut by shards, a process each.
        ids = self.processor.encode(texts, out_type=int, num_threads=1)
        return [np.array(row, np.int32) for row in ids]

    def decode(self, ids: Iterable[int], stop_at_eos: bool = True) -> str:
        return self.processor.decode(kept_ids(self.vocabulary, ids, stop_at_eos))

    def pieces(self, ids: Iterable[int]) -> list[str]:
        size = self.vocabulary.size
        ids = [int(i) if 0 <= i < size else UNK for i in ids]
        return [self.processor.id_to_piece(i) for i in ids]


def _spaced(text: str) -> str:
    return _SENTINEL.sub(r" \g<0>", text)


def _load_model(path: str, extra_ids: int, named: Sequence[str]):
    import sentencepiece

    model = files.read_bytes(path)
    if not model:
        raise UserError(f"{path}: is empty, no SentencePiece model")
    if is_json(model):
        model = sentencepiece_model(model, path)
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        if extra_ids and not _find_sentinels(processor):
            sentinels = [f"▁<extra_id_{k}>" for k in reversed(range(extra_ids))]
            model += _user_defined_pieces(sentinels)
        absent = [
            name for name in named if processor.id_to_piece(processor.piece_to_id(name)) != name
        ]
        model += _user_defined_pieces(absent)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"{path}: not a SentencePiece model ({' '.join(str(error).split())[-120:]})"
        ) from error
    return processor


def _find_sentinels(processor) -> tuple[int, ...]:
    """The ids of `▁<extra_id_0>`, `▁<extra_id_1>`, ... (or without `▁`) as far as they go."""
    found = []
    while True:
        for piece in (f"▁<extra_id_{len(found)}>", f"<extra_id_{len(found)}>"):
            index = processor.piece_to_id(piece)
            if index != UNK and processor.id_to_piece(index) == piece:
                found.append(index)
                break
        else:
            return tuple(found)


def _user_defined_pieces(pieces: Sequence[str]) -> bytes:
    """USER_DEFINED pieces to be appended to a serialized model; its text yields them whole.

    ModelProto's field 1 is a repeated SentencePiece {1: piece, 2: score (float), 3: type}, and in a
    protocol buffer a repeated field grows by what is appended to the message.
    """
    result = b""
    for piece in map(str.encode, pieces):
        user_defined = b"\x18\x04"
        body = b"\x0a" + bytes([len(piece)]) + piece + b"\x15" + struct.pack("<f", 0.0)
        body += user_defined
        result += b"\x0a" + bytes([len(body)]) + body
    return result


class ByteTokenizer:
    """UTF-8 bytes, id = byte + 3; see Bytes for the sentinels."""

    def __init__(self, extra_ids: int = 0):
        self.extra_ids = extra_ids
        size = _BYTE_OFFSET + 256 + extra_ids
        if extra_ids:
            sentinels = tuple(range(size - extra_ids, size))
        else:
            sentinels = tuple(range(size - 1, size - 1 - _NEVER_UTF8, -1))
        content = hashlib.sha256(f"bytes {extra_ids}".encode()).hexdigest()[:32]
        self.vocabulary = Vocabulary(
            size=size, sentinels=sentinels, fingerprint=content, **roles({"</s>": EOS})
        )

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [self._encode_one(text) for text in texts]

    def _encode_one(self, text: str) -> np.ndarray:
        if "<extra_id_" not in text:
            return _bytes_to_ids(text)
        parts, last = [], 0
        for match in _SENTINEL.finditer(text):
            k = int(match.group(1))
            if k < len(self.vocabulary.sentinels):
                parts.append(_bytes_to_ids(text[last : match.start()]))
                parts.append(np.array([self.vocabulary.sentinels[k]], np.int32))
                last = match.end()
        parts.append(_bytes_to_ids(text[last:]))
        return np.concatenate(parts)

    def decode(self, ids: Iterable[int], stop_at_eos: bool = True) -> str:
        names = {index: f"<extra_id_{k}>" for k, index in enumerate(self.vocabulary.sentinels)}
        parts = []
        for index in kept_ids(self.vocabulary, ids, stop_at_eos):
            if index in names:
                parts.append(names[index].encode())
            elif index != UNK:
                parts.append(bytes([index - _BYTE_OFFSET]))
            else:
                parts.append("\ufffd".encode())
        return b"".join(parts).decode(errors="replace")

    def pieces(self, ids: Iterable[int]) -> list[str]:
        names = {PAD: "<pad>", EOS: "</s>", UNK: "<unk>"}
        names |= {index: f"<extra_id_{k}>" for k, index in enumerate(self.vocabulary.sentinels)}
        return [names.get(int(i)) or self._byte_name(int(i)) for i in ids]

    def _byte_name(self, index: int) -> str:
        byte = index - _BYTE_OFFSET
        if not 0 <= byte < 256:
            return "<unk>"
        return chr(byte) if 0x20 <= byte < 0x7F else f"<0x{byte:02X}>"


def _bytes_to_ids(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).astype(np.int32) + _BYTE_OFFSET
