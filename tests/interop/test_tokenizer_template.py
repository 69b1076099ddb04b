"""What we write of a tokenizer frames one text and two as the model was trained: ids and types are ours."""

import dataclasses
import json

import pytest

from t2t.data.subword_tokenizer import SubwordTokenizer, byte_bpe, wordpiece
from t2t.interop import huggingface_tokenizer
from t2t.models.families import bert, xlnet
from t2t.objectives.framing import frame_each
from tests.models.tiny_families import FAMILIES

LETTERS = list("abcde")
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
XLNET = ["<unk>", "[UNK]", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"]


def numbered(pieces) -> dict[str, int]:
    return {piece: i for i, piece in enumerate(pieces)}


CASES = {
    "bert": (bert.architecture("base"), wordpiece(numbered(BERT + LETTERS), BERT, True)),
    "distilbert": (
        dataclasses.replace(bert.architecture("base"), token_types=0),
        wordpiece(numbered(BERT + LETTERS), BERT, True),
    ),
    "roberta": (FAMILIES["roberta"], byte_bpe(numbered(ROBERTA + LETTERS), [], ROBERTA)),
    "xlnet": (xlnet.architecture("base"), wordpiece(numbered(XLNET + LETTERS), XLNET, True)),
    "gpt2": (FAMILIES["gpt2"], byte_bpe(numbered(ROBERTA + LETTERS), [], ROBERTA)),
}


@pytest.mark.parametrize("name", CASES)
def test_their_tokenizer_frames_as_we_do(name, tmp_path):
    from tokenizers import Tokenizer

    arch, made = CASES[name]
    made.save(str(tmp_path / "tokenizer.json"))
    ours, folder = SubwordTokenizer(str(tmp_path)), tmp_path / "written"
    folder.mkdir()
    huggingface_tokenizer.write(str(folder), ours, arch)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert SubwordTokenizer(str(folder)).vocabulary == ours.vocabulary
    if name == "gpt2":
        assert theirs.encode("abc").ids == ours.encode(["abc"])[0].tolist()
        assert "model_input_names" not in settings
        return
    types = arch.token_types > 1
    assert ("token_type_ids" in settings["model_input_names"]) == (types or name == "xlnet")
    assert settings.get("padding_side") == ("left" if name == "xlnet" else None)
    for texts in (("ab",), ("ab", "c"), ("", "de")):
        found = theirs.encode(*texts)
        row = frame_each(
            ours.vocabulary, arch.summary_last, [tuple(ours.encode(texts))], len(found.ids), types
        ).encoder
        assert found.ids == row["tokens"][0].tolist()
        assert found.type_ids == row.get("types", [0 * row["tokens"][0]])[0].tolist()
