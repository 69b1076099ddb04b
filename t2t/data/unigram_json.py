"""Hugging Face's `tokenizer.json` of the Unigram kind as the SentencePiece model that it came from.

transformers 5 saves a T5's vocabulary so and no other way. Pieces, scores and the table of character
normalisation are all that SentencePiece needs; sentinels at the end are left to whoever appends them.
"""

import base64
import json
import re

from t2t.errors import UserError

_SENTINEL = re.compile(r"▁?<extra_id_\d+>")
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6


def is_json(content: bytes) -> bool:
    """Whether a vocabulary file's content is JSON: no SentencePiece model begins so."""
    return content.lstrip()[:1] == b"{"


def sentencepiece_model(content: bytes, path: str) -> bytes:
    """Returns a serialized SentencePiece model of the same pieces, without sentinels.

    Raises: UserError where the file is damaged or of another kind (BPE, WordPiece).
    """
    from sentencepiece import sentencepiece_model_pb2 as proto

    try:
        found = json.loads(content)
        model = found["model"]
        kind = model.get("type")
        if kind != "Unigram":
            raise UserError(f"{path}: is a tokenizer of kind {kind}; only Unigram can be read")
        pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
        unknown, bytes_too = int(model["unk_id"]), bool(model.get("byte_fallback"))
        characters = _characters_map(found.get("normalizer"))
        special = {str(t["content"]) for t in found.get("added_tokens", []) if t.get("special")}
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is no tokenizer.json, or a damaged one") from None
    while pieces and _SENTINEL.fullmatch(pieces[-1][0]):
        pieces.pop()
    if len(pieces) < 3:
        raise UserError(f"{path}: its vocabulary has no padding, end of sequence and unknown")

    def type_of(index: int, piece: str) -> int:
        if index == unknown:
            return _UNKNOWN
        if bytes_too and re.fullmatch(r"<0x[0-9A-F]{2}>", piece):
            return _BYTE
        if index < 3:
            return _CONTROL
        return _USER_DEFINED if piece in special else _NORMAL

    result = proto.ModelProto()
    for index, (piece, score) in enumerate(pieces):
        result.pieces.add(piece=piece, score=score, type=type_of(index, piece))
    trainer = result.trainer_spec
    trainer.model_type = proto.TrainerSpec.UNIGRAM
    trainer.vocab_size, trainer.byte_fallback = len(pieces), bytes_too
    trainer.pad_id, trainer.eos_id, trainer.unk_id, trainer.bos_id = 0, 1, unknown, -1
    trainer.pad_piece, trainer.eos_piece, trainer.unk_piece = (p for p, _ in pieces[:3])
    result.normalizer_spec.precompiled_charsmap = characters
    result.normalizer_spec.add_dummy_prefix = True
    result.normalizer_spec.remove_extra_whitespaces = True
    result.normalizer_spec.escape_whitespaces = True
    return result.SerializeToString()


def _characters_map(normalizer: dict | None) -> bytes:
    """Returns the compiled table of a normalizer, or of the parts of one; empty where it has none."""
    if normalizer is None:
        return b""
    for part in normalizer.get("normalizers", [normalizer]):
        if part.get("type") == "Precompiled":
            return base64.b64decode(part["precompiled_charsmap"])
    return b""
