"""Trains a WordPiece or byte-level BPE vocabulary; the same sample gives the same file, byte for byte."""

from collections import Counter
from collections.abc import Iterable

from t2t.data import files
from t2t.data.subword_tokenizer import byte_bpe, wordpiece
from t2t.data.tokenizer_config import TrainedSubwords
from t2t.errors import UserError

WORDPIECE_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BYTE_BPE_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_MOST_CHARACTERS = 1000  # of WordPiece's alphabet, as BERT's trainer; the others are unknown


def train(config: TrainedSubwords, texts: Iterable[str], path: str) -> None:
    """Trains on `texts` and writes a tokenizer.json to `path`, whole or not at all.

    Raises: UserError where the text gives no so large a vocabulary.
    """
    texts = list(texts)
    if not any(texts):
        raise UserError("the tokenizer's sample is empty: the sources hold no text to train it on")
    sentinels = [f"<extra_id_{k}>" for k in range(config.extra_ids)]
    tokenizer = (_wordpiece if config.kind == "wordpiece" else _byte_bpe)(config, texts, sentinels)
    files.write_bytes(path, tokenizer.to_str().encode())


def _wordpiece(config: TrainedSubwords, texts: list[str], sentinels: list[str]):
    """BERT's kind. Pieces are found by BPE merges, as the library's WordPiece trainer does."""
    from tokenizers import Tokenizer, models, trainers

    shaped = wordpiece({"[UNK]": 0}, (), config.lowercase)
    counts = Counter(c for text in texts for c in shaped.normalizer.normalize_str(text))
    alphabet = sorted(c for c in counts if not c.isspace())
    alphabet = sorted(sorted(alphabet, key=lambda c: -counts[c])[:_MOST_CHARACTERS])
    # Characters inside of words get their ids here: left to the trainer they come in the order of a
    # hash table, and ties between merges are broken by ids.
    inside = [f"##{c}" for c in alphabet]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = shaped.normalizer, shaped.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        special_tokens=[*WORDPIECE_SPECIAL, *alphabet, *inside],
        limit_alphabet=len(alphabet),
        continuing_subword_prefix="##",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = _of_size(config, tokenizer.get_vocab())
    return wordpiece(ids, [*WORDPIECE_SPECIAL, *sentinels], config.lowercase)


def _byte_bpe(config: TrainedSubwords, texts: list[str], sentinels: list[str]):
    """GPT-2's kind, with RoBERTa's special tokens."""
    import json

    from tokenizers import pre_tokenizers, trainers

    tokenizer = byte_bpe({}, (), ())
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        special_tokens=list(BYTE_BPE_SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    ids = _of_size(config, tokenizer.get_vocab())
    return byte_bpe(ids, [tuple(m) for m in merges], [*BYTE_BPE_SPECIAL, *sentinels])


def _of_size(config: TrainedSubwords, ids: dict[str, int]) -> dict[str, int]:
    if len(ids) != config.vocabulary_size:
        few = len(ids) < config.vocabulary_size
        raise UserError(
            f"tokenizer.vocabulary_size: {config.vocabulary_size} pieces are "
            + (f"more than the text gives; set at most {len(ids)}, or give it more text" if few
               else f"fewer than the text's characters; set at least {len(ids)}")
        )  # fmt: skip
    return dict(sorted(ids.items(), key=lambda item: item[1]))
