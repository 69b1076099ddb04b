"""WordPiece and byte-level BPE against slow, readable ones written here, in every published form."""

import json
import pathlib
import pickle
import re
import unicodedata

import numpy as np
import pytest

from t2t.data import tokenizer_files, tokenizers
from t2t.data.subword_training import train
from t2t.data.tokenizer_config import Bytes, SentencePiece, Subwords, TrainedSubwords
from t2t.data.vocabulary import BEGINS_WORD, ENDS_SENTENCE, SPECIAL, piece_marks
from t2t.errors import UserError
from t2t.interop import huggingface_tokenizer
from tests.models.tiny_families import FAMILIES


@pytest.fixture(scope="module")
def texts():
    from pydoc_data import topics

    return list(topics.topics.values())[:40]


@pytest.fixture(scope="module")
def trained(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    result = {}
    for kind in ("wordpiece", "byte_bpe"):
        config = TrainedSubwords(kind, vocabulary_size=800, extra_ids=3)
        train(config, texts, f"{folder}/{kind}.model")
        result[kind] = tokenizers.load(config, f"{folder}/{kind}.model")
    return result


def bert(text, vocabulary):
    """BERT's uncased WordPiece (google-research/bert tokenization.py), as it is described there."""
    text = unicodedata.normalize("NFD", text.lower())
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    words = re.findall(r"[^\W_]+|[^\w\s]|_", text)  # of ASCII text: letters and digits, or one mark
    pieces = []
    for word in words:
        begin, of_word = 0, []
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = ("##" if begin else "") + word[begin:end]
                if piece in vocabulary:
                    break
            else:
                of_word = ["[UNK]"]
                break
            of_word.append(piece)
            begin = end
        pieces += of_word
    return pieces


def gpt2(text, ranks):
    """GPT-2's byte-level BPE (openai/gpt-2 encoder.py): the lowest rank is merged everywhere first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in printable}
    letters |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in printable)}
    # Of ASCII text; [^\W\d_] are letters.
    words = re.findall(
        r"'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+", text
    )
    pieces = []
    for word in words:
        parts = [letters[b] for b in word.encode()]
        while True:
            pairs = [p for p in zip(parts, parts[1:], strict=False) if p in ranks]
            if not pairs:
                break
            best, merged = min(pairs, key=ranks.__getitem__), []
            while parts:
                take = 2 if tuple(parts[:2]) == best else 1
                merged.append("".join(parts[:take]))
                parts = parts[take:]
            parts = merged
        pieces += parts
    return pieces


def test_ids_are_those_of_the_published_algorithms(trained, texts):
    ascii_texts = [t.encode("ascii", "ignore").decode() for t in texts[:6]]
    for kind, tokenizer in trained.items():
        model = json.loads(tokenizer.content)["model"]
        ranks = {tuple(m): i for i, m in enumerate(model.get("merges", ()))}
        for text in ascii_texts:
            (ids,) = tokenizer.encode([text])
            assert ids.dtype == np.int32
            slow = bert(text, model["vocab"]) if kind == "wordpiece" else gpt2(text, ranks)
            assert tokenizer.pieces(ids) == slow


def test_a_trained_vocabulary_is_of_its_size_and_always_the_same(trained, texts, tmp_path):
    for kind, tokenizer in trained.items():
        assert tokenizer.vocabulary.size == 803
        assert tokenizer.vocabulary.sentinels == (800, 801, 802)
        train(TrainedSubwords(kind, 800, extra_ids=3), texts, f"{tmp_path}/again.model")
        assert (tmp_path / "again.model").read_text() == pathlib.Path(tokenizer.path).read_text()
        (ids,) = tokenizer.encode(["the value of an expression"])
        assert len(ids) < 12, "pieces are longer than characters"
        assert tokenizer.decode(ids) == "the value of an expression"
    with pytest.raises(UserError, match="more than the text gives; set at most"):
        train(TrainedSubwords("byte_bpe", 5000), ["a few words only"], f"{tmp_path}/few.model")
    with pytest.raises(UserError, match="holds no text|is empty"):
        train(TrainedSubwords(), [""], f"{tmp_path}/none.model")


def test_special_tokens_are_known_by_their_role(trained):
    facts = trained["wordpiece"].vocabulary
    who = (facts.pad_id, facts.unk_id, facts.cls_id, facts.sep_id, facts.mask_id)
    assert who == (0, 1, 2, 3, 4)
    assert (facts.eos_id, facts.bos_id, facts.start_id) == (3, None, 3)
    facts = trained["byte_bpe"].vocabulary
    who = (facts.bos_id, facts.pad_id, facts.eos_id, facts.unk_id, facts.mask_id)
    assert who == (0, 1, 2, 3, 4)
    assert (facts.cls_id, facts.sep_id, facts.start_id) == (0, 2, 0)
    # In a text they are themselves, and come back.
    for tokenizer, name in ((trained["wordpiece"], "[MASK]"), (trained["byte_bpe"], "<mask>")):
        (ids,) = tokenizer.encode([f"in {name} of"])
        assert 4 in ids and name in tokenizer.decode(ids)
        row = [
            *ids.tolist(),
            tokenizer.vocabulary.eos_id,
            *ids.tolist(),
            tokenizer.vocabulary.pad_id,
        ]
        assert tokenizer.decode(row) == tokenizer.decode(ids)
        assert tokenizer.decode(row, stop_at_eos=False).count(name) == 2
        assert tokenizer.encode(["<extra_id_1>"])[0].tolist() == [801]


def test_every_published_form_gives_the_same_ids(trained, texts, tmp_path):
    wordpiece, byte_bpe = trained["wordpiece"], trained["byte_bpe"]
    by_id = lambda tokenizer: sorted(
        json.loads(tokenizer.content)["model"]["vocab"].items(), key=lambda item: item[1]
    )
    bert_folder, gpt_folder = tmp_path / "bert", tmp_path / "gpt"
    bert_folder.mkdir(), gpt_folder.mkdir()
    (bert_folder / "vocab.txt").write_text("\n".join(p for p, _ in by_id(wordpiece)) + "\n")
    (gpt_folder / "vocab.json").write_text(json.dumps(dict(by_id(byte_bpe))))
    merges = json.loads(byte_bpe.content)["model"]["merges"]
    (gpt_folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n"
    )
    forms = [
        (wordpiece, str(bert_folder)),
        (wordpiece, str(bert_folder / "vocab.txt")),
        (byte_bpe, str(gpt_folder)),
        (byte_bpe, str(gpt_folder / "merges.txt")),
        (byte_bpe, str(gpt_folder / "vocab.json")),
    ]
    for original, path in forms:
        for loaded in (tokenizers.load(Subwords(path)), pickle.loads(pickle.dumps(original))):
            for ours, theirs in zip(loaded.encode(texts), original.encode(texts), strict=True):
                np.testing.assert_array_equal(ours, theirs)
            assert loaded.vocabulary.mask_id == original.vocabulary.mask_id
    # A cased vocabulary is told by its capitals; settings beside it overrule the usual names.
    (bert_folder / "vocab.txt").write_text("[PAD]\n[UNK]\nThe\nthe\n[SEP]\n[START]\n")
    cased = tokenizers.load(Subwords(str(bert_folder)))
    assert cased.pieces(cased.encode(["The the"])[0]) == ["The", "the"]
    settings = {"bos_token": {"content": "[START]"}, "do_lower_case": True}
    (bert_folder / "tokenizer_config.json").write_text(json.dumps(settings))
    lower = tokenizers.load(Subwords(str(bert_folder)))
    assert lower.pieces(lower.encode(["The the"])[0]) == ["the", "the"]
    assert lower.vocabulary.start_id == 5


def test_a_runs_copy_and_a_hugging_face_directory_hold_the_same_vocabulary(trained, tmp_path):
    for kind, tokenizer in trained.items():
        run, theirs = tmp_path / kind / "run", tmp_path / kind / "hf"
        run.mkdir(parents=True), theirs.mkdir()
        tokenizer_files.keep(tokenizer, str(run))
        assert tokenizer_files.kept(str(run)).vocabulary == tokenizer.vocabulary
        huggingface_tokenizer.write(str(theirs), tokenizer, FAMILIES["bert"])
        found = tokenizers.load(huggingface_tokenizer.find(str(theirs), {}))
        assert found.vocabulary == tokenizer.vocabulary


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "None"}}')
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    (tmp_path / "empty").mkdir()
    for path, reason in (
        (tmp_path / "tokenizer.json", "is no tokenizer.json"),
        (tmp_path / "vocab.txt", "no WordPiece vocabulary"),
        (tmp_path / "empty", "holds no tokenizer.json"),
        (tmp_path / "absent.json", "absent.json"),
    ):
        with pytest.raises(UserError, match=reason):
            tokenizers.load(Subwords(str(path)))
    (tmp_path / "vocab.txt").write_text("[UNK]\na\n")
    with pytest.raises(UserError, match="no end of sequence"):
        tokenizers.load(Subwords(str(tmp_path / "vocab.txt")))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "[END]"}')
    with pytest.raises(UserError, match=r"the eos_token '\[END\]' is not in the vocabulary"):
        tokenizers.load(Subwords(str(tmp_path / "vocab.txt")))


def test_marks_tell_words_and_sentences(trained):
    def shown(tokenizer, text, bit):
        facts = tokenizer.vocabulary
        (ids,) = tokenizer.encode([text])
        marks = np.frombuffer(piece_marks(tokenizer.pieces(range(facts.size)), facts), np.uint8)
        pieces, found = tokenizer.pieces(ids), []
        for piece, mark in zip(pieces, marks[ids], strict=True):
            found.append(("|" if mark & bit else "") + piece)
        return "".join(found), marks

    wordpiece, marks = shown(trained["wordpiece"], 'evaluate "this." Now', BEGINS_WORD)
    assert wordpiece.replace("##", "") == '|evaluate|"|this|.|"|now'
    assert all(marks[:5] & SPECIAL) and not any(marks[5:800] & SPECIAL)
    byte_bpe, _ = shown(trained["byte_bpe"], "evaluate this. Now", BEGINS_WORD)
    assert byte_bpe == "evaluate|Ġthis.|ĠNow"
    ends, _ = shown(tokenizers.load(Bytes()), "Is it? Yes", ENDS_SENTENCE)
    assert ends == "Is it|? Yes"


def test_a_sentencepiece_vocabulary_takes_named_tokens(shared_data, tmp_path):
    path = str(shared_data / "tokenizers" / "t5_spiece.model")
    plain = tokenizers.load(SentencePiece(path))
    named = tokenizers.load(SentencePiece(path, named=("[MASK]", "[CLS]", "[NLU]")))
    facts = named.vocabulary
    assert facts.sentinels == plain.vocabulary.sentinels
    assert (facts.size, facts.mask_id, facts.cls_id, facts.sep_id) == (32103, 32100, 32101, 1)
    assert dict(facts.named)["[NLU]"] == 32102
    assert facts.fingerprint != plain.vocabulary.fingerprint
    (ids,) = named.encode(["a [MASK] b"])
    assert 32100 in ids and named.decode(ids) == "a [MASK] b"
    tokenizer_files.keep(named, str(tmp_path))
    assert tokenizer_files.kept(str(tmp_path)).vocabulary == facts
    assert plain.vocabulary.mask_id is None
