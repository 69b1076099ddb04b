"""The tokenizer of a Hugging Face directory: found there, and written there."""

import json
import os

from t2t.data import files
from t2t.data.subword_tokenizer import SubwordTokenizer
from t2t.data.tokenizer_config import Bytes, SentencePiece, Subwords, Tokenizer
from t2t.data.tokenizers import ByteTokenizer, SentencePieceTokenizer
from t2t.errors import UserError
from t2t.interop.tokenizer_template import framing_settings, with_template
from t2t.models.architecture import Architecture

MODEL = "spiece.model"
_JSON = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
# Classes that say nothing of the vocabulary.
_ANY_KIND = ("", "PreTrainedTokenizerFast", "TokenizersBackend")


def find(path: str, config: dict) -> Tokenizer | None:
    """Returns the tokenizer of a directory; None where it has none that t2t reads.

    config: its config.json. Raises: UserError where its settings are no JSON object.
    """
    settings = _settings(path)
    kind = str(settings.get("tokenizer_class") or config.get("tokenizer_class") or "")
    theirs = str(config.get("model_type", "")) if kind in _ANY_KIND else kind
    if _by_name(theirs):
        model = os.path.join(path, _JSON)
        return Subwords(model) if os.path.isfile(model) else None
    extra_ids = _extra_ids(settings, os.path.join(path, SETTINGS))
    for name in (MODEL, _JSON):
        model = os.path.join(path, name)
        if os.path.isfile(model) and (name == MODEL or _is_unigram(model)):
            return SentencePiece(model, 100 if extra_ids is None else extra_ids)
    if kind.startswith("ByT5"):
        return Bytes(125 if extra_ids is None else extra_ids)
    for name in (_JSON, "vocab.txt", "merges.txt"):
        if os.path.isfile(os.path.join(path, name)):
            return Subwords(os.path.join(path, name))
    return None


def named(path: str, family: str = "") -> Tokenizer:
    """Returns the tokenizer that somebody names for a model of a family: a file, a folder, or `bytes`.

    Raises: UserError where there is no such file, or the folder holds none that t2t reads.
    """
    if path == "bytes":
        return Bytes(125)
    if os.path.isdir(path):
        found = find(path, {"model_type": family})
        if found is None:
            raise UserError(
                f"{path}: holds no tokenizer that t2t reads ({MODEL}, {_JSON}, vocab.txt, vocab.json "
                "with merges.txt)"
            )
        return found
    subwords = path.endswith(".txt")
    if path.endswith(".json"):
        subwords = _by_name(family) or not _is_unigram(path)
    return Subwords(path) if subwords else SentencePiece(path)


def _by_name(kind: str) -> bool:
    """Whether a Unigram vocabulary's special tokens are found by name, in an order of its own.

    ALBERT's is of lower-cased text, which its spiece.model does not say.
    """
    return kind.lower().startswith(("xlnet", "albert"))


def _extra_ids(settings: dict, where: str) -> int | None:
    count = settings.get("extra_ids")
    if count is not None and (type(count) is not int or count < 0):
        raise UserError(f"{where}: extra_ids is {count!r}, not a number of sentinels")
    return count


def _is_unigram(path: str) -> bool:
    try:
        return json.loads(files.read_bytes(path))["model"]["type"] == "Unigram"
    except (ValueError, KeyError, TypeError):
        return False


def _settings(path: str) -> dict:
    file = os.path.join(path, SETTINGS)
    try:
        with open(file, encoding="utf-8") as opened:
            settings = json.load(opened)
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UserError(f"{file}: is not JSON, or is damaged; fetch it again") from None
    if not isinstance(settings, dict):
        raise UserError(f"{file}: is no JSON object")
    return settings


def write(path: str, tokenizer, arch: Architecture) -> None:
    """Writes what their tokenizer classes read; ids are the same as ours, and what frames texts for a model."""
    common = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    match tokenizer:
        case ByteTokenizer():
            settings = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": tokenizer.extra_ids}
        case SentencePieceTokenizer():
            model, appended = _without_sentinels(tokenizer)
            settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": appended}
            with open(os.path.join(path, MODEL), "wb") as file:
                file.write(model)
        case SubwordTokenizer():
            settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
            settings |= framing_settings(tokenizer, arch)
            common = tokenizer.tokens_named()
            with open(os.path.join(path, _JSON), "w", encoding="utf-8") as file:
                file.write(with_template(tokenizer, arch))
        case _:
            raise UserError(
                f"{path}: a {type(tokenizer).__name__} has no form that Hugging Face reads"
            )
    with open(os.path.join(path, SETTINGS), "w", encoding="utf-8") as file:
        file.write(json.dumps({**settings, **common}, indent=2) + "\n")


def _without_sentinels(tokenizer: SentencePieceTokenizer) -> tuple[bytes, int]:
    """Returns the model without the sentinels at its end, and how many those were.

    Their classes append them themselves, as the special tokens that a text may then hold.
    """
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(tokenizer.processor.serialized_model_proto())
    vocabulary = tokenizer.vocabulary
    count = len(vocabulary.sentinels)
    if vocabulary.sentinels != tuple(range(vocabulary.size - 1, vocabulary.size - 1 - count, -1)):
        return model.SerializeToString(), 0
    del model.pieces[vocabulary.size - count :]
    return model.SerializeToString(), count
