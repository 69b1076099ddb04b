"""A vocabulary that is named beside weights: every kind of file, and what is wrong with one."""

import dataclasses
import json

import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.data.tokenizer_config import Bytes, SentencePiece, Subwords
from t2t.data.tokenizer_files import kept
from t2t.interop.huggingface_tokenizer import named
from tests.interop.tiny_directories import MODELS, write
from tests.published_files import CONFIG, t5x_target, write_huggingface, write_t5x

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b"]


def refused(capsys, *arguments) -> str:
    assert main([str(a) for a in arguments]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("t2t: ") and "Traceback" not in "".join(err)
    return err[-1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Directories with weights and a config.json alone."""
    made = {}
    for name in ("bert", "gpt2"):
        family, arch = MODELS[name]
        made[name] = tmp_path_factory.mktemp(name)
        write(made[name], family, dataclasses.replace(arch, vocab_size=384))
    return made


@pytest.fixture
def vocabularies(tmp_path):
    """BERT's and GPT-2's, as those publish them, and the second as a tokenizer.json too."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {piece: index for index, piece in enumerate([*letters, "ab", "<|endoftext|>"])}
    for folder in ("bert", "gpt2", "json"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(PIECES))
    (tmp_path / "gpt2" / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "gpt2" / "merges.txt").write_text("#version: 0.2\na b\n")
    Tokenizer(models.BPE(ids, [("a", "b")])).save(str(tmp_path / "json" / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize(
    "name, given",
    [
        ("bert", "bert"),
        ("bert", "bert/vocab.txt"),
        ("gpt2", "gpt2"),
        ("gpt2", "gpt2/vocab.json"),
        ("gpt2", "json/tokenizer.json"),
    ],
)
def test_a_directory_without_a_vocabulary_becomes_a_run(
    name, given, weights, vocabularies, tmp_path, capsys
):
    target = tmp_path / "run"
    command = ["convert", weights[name], target, "--to=t2t"]
    assert "name one by --tokenizer=FILE-OR-FOLDER" in refused(capsys, *command)
    assert main([*map(str, command), f"--tokenizer={vocabularies / given}"]) == 0
    assert isinstance(runs.load_saved(str(target)).tokenizer, Subwords)
    tokenizer = kept(str(target))
    assert tokenizer.pieces(tokenizer.encode(["ab"])[0]) == (
        ["a", "##b"] if name == "bert" else ["ab"]
    )


def test_the_kind_is_told_by_the_file_and_the_family(vocabularies, tmp_path):
    unigram = tmp_path / "unigram.json"
    unigram.write_text(json.dumps({"model": {"type": "Unigram", "vocab": [], "unk_id": 2}}))
    assert named("bytes") == Bytes(125)
    assert named("spiece.model") == SentencePiece("spiece.model")
    assert named(str(unigram)) == SentencePiece(str(unigram))
    assert named(str(unigram), "albert") == named(str(unigram), "xlnet") == Subwords(str(unigram))


def test_a_t5x_checkpoint_writes_with_a_vocabulary_that_is_named(tmp_path, capsys):
    tensors = write_huggingface(tmp_path / "hf")
    write_t5x(tmp_path / "t5x", t5x_target(tensors, CONFIG))
    (tmp_path / "in.txt").write_text("one line\nanother <extra_id_0> line\n")
    outputs = []
    for folder, more in (("hf", []), ("t5x", ["--tokenizer=bytes"])):
        target = tmp_path / f"{folder}.jsonl"
        given = [f"--workdir={tmp_path / folder}", f"--input={tmp_path / 'in.txt'}", *more]
        assert main(["generate", *given, "--max-tokens=6", f"--output={target}"]) == 0
        outputs.append([json.loads(line) for line in target.read_text().splitlines()])
    assert len(outputs[0]) >= 2 and outputs[0] == outputs[1]
    said = f"{tmp_path / 't5x'}: its activation is taken to be gelu_tanh"
    assert capsys.readouterr().err.count(said) == 1
    for verb in (["generate"], ["eval", "--tasks=glue_sst2"]):
        assert "name one by --tokenizer" in refused(capsys, *verb, f"--workdir={tmp_path / 't5x'}")
    assert main(["convert", str(tmp_path / "hf"), str(tmp_path / "run"), "--to=t2t"]) == 0
    for verb in (["generate"], ["eval", "--tasks=glue_sst2"]):
        given = [*verb, f"--workdir={tmp_path / 'run'}", "--tokenizer=bytes"]
        assert "is a run, which has its own vocabulary" in refused(capsys, *given)


@pytest.mark.parametrize(
    "file, content, said",
    [
        ("spiece.model", b"", "is empty, no SentencePiece model"),
        ("tokenizer.json", b"", "is not JSON, or is damaged"),
        ("vocab.txt", b"", "is no WordPiece vocabulary"),
        ("vocab.json", b'{"a": 0}', "merges.txt: is not UTF-8 text, a merge a line"),
        ("vocab.txt/tokenizer_config.json", {"do_lower_case": "x"}, "do_lower_case is 'x'"),
        ("vocab.txt/tokenizer_config.json", {"mask_token": {"a": 1}}, "mask_token is {'a': 1}"),
        ("vocab.txt/tokenizer_config.json", {"pad_token": 7}, "pad_token is 7, not a token"),
        ("x/tokenizer_config.json", {"extra_ids": "x"}, "extra_ids is 'x', not a number of"),
        (
            "tokenizer.json",
            b'{"model": {"type": "Unigram", "vocab": [], "unk_id": 2}}',
            "no padding, end",
        ),
    ],
)
def test_what_is_wrong_with_it_is_one_line(file, content, said, weights, tmp_path, capsys):
    vocabulary, _, settings = file.partition("/")
    (tmp_path / "merges.txt").write_bytes(b"\xff\xfe")
    (tmp_path / vocabulary).write_bytes("\n".join(PIECES).encode() if settings else content)
    if settings:
        (tmp_path / settings).write_text(json.dumps(content))
    given = tmp_path if vocabulary == "x" else tmp_path / vocabulary
    command = ["convert", weights["bert"], tmp_path / "to", "--to=t2t", f"--tokenizer={given}"]
    assert said in refused(capsys, *command)
    assert not list(tmp_path.glob("to*.partial"))
