"""A model written as each of their families: what comes back is the model, or it is refused in one line."""

import json
import os

import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.config_keys import same
from t2t.interop.families import FAMILIES
from tests.interop.tiny_directories import MODELS, write


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_written_as_what_it_is_or_refused(name, tmp_path):
    own, arch = MODELS[name]
    written = []
    for family in FAMILIES:
        folder = tmp_path / family
        folder.mkdir()
        try:
            write(folder, family, arch)
        except UserError as error:
            assert str(error).startswith(f"--family={family}: ") and "\n" not in str(error)
            assert not os.listdir(folder)
            continue
        same(arch, huggingface.open_directory(str(folder)).arch, family)
        kind = json.loads((folder / "config.json").read_text())["architectures"][0]
        written.append((family, kind))
    assert own in dict(written)
    assert len(written) <= 2  # t5 and mt5, bert and ernie have models in common


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_class_that_is_named_is_one_of_theirs(name, tmp_path):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    write(tmp_path, *MODELS[name])
    config = json.loads((tmp_path / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    _, report = cls.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_a_refused_conversion_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    (tmp_path / "hf").mkdir()
    write(tmp_path / "hf", *MODELS["bert"])
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
    (tmp_path / "hf" / "vocab.txt").write_text("\n".join(pieces))
    assert main(["convert", str(tmp_path / "hf"), str(tmp_path / "run"), "--to=t2t"]) == 0
    assert runs.load_saved(str(tmp_path / "run")).model.pair_classes == 2
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    capsys.readouterr()
    for family in ("albert", "gpt2", "llama", "xlnet", "mt5", "megatron-bert", "roberta"):
        assert main(["convert", "run", "to", "--to=huggingface", f"--family={family}"]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"t2t: --family={family}: ")
        assert sorted(os.listdir()) == before
    for target in ("", "/", ".", ".."):
        assert main(["convert", "run", target, "--to=huggingface"]) == 2
        assert "names no folder to be made" in capsys.readouterr().err
        assert sorted(os.listdir()) == before
    assert main(["convert", "run", "to", "--to=huggingface", "--family=ernie"]) == 0
    kind = json.loads((tmp_path / "to" / "config.json").read_text())["architectures"]
    assert kind == ["ErnieForPreTraining"]
