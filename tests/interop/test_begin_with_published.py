"""Fine-tuning from published weights: Hugging Face's, T5X's, and a run converted from them."""

import json
import pathlib

import jax
import numpy as np
import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.errors import UserError
from t2t.training import programs as program_builder
from t2t.training.initial import initial_parameters
from t2t.training.initial_config import FromHuggingFace, FromRun, FromT5X
from t2t.training.leaf_names import named_leaves
from tests.published_files import CONFIG, t5x_target, write_huggingface, write_t5x
from tests.tiny import write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
SHAPE = {"d_model": 32, "num_heads": 4, "d_kv": 8, "d_ff": 64, "num_layers": 2}
TOKENIZER = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 0}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The folder of one model in three forms: hf, t5x, run; and a text."""
    folder = tmp_path_factory.mktemp("published")
    tensors = write_huggingface(folder / "hf", SHAPE, tokenizer=TOKENIZER)
    write_t5x(folder / "t5x", t5x_target(tensors, {**CONFIG, **SHAPE}))
    assert main(["convert", str(folder / "hf"), str(folder / "run"), "--to=t2t"]) == 0
    write_text(folder)
    return folder


def command(published, workdir, *arguments) -> list[str]:
    recipe = f"--config={RECIPE}:{published / 'text.txt'}"
    return ["train", recipe, f"--workdir={workdir}", *map(str, arguments)]


def test_all_three_give_the_same_parameters_on_a_mesh(published):
    mesh = [("mesh.data", "2"), ("mesh.fsdp", "2"), ("mesh.tensor", "2")]
    run = runs.load(f"{RECIPE}:{published / 'text.txt'}", mesh)
    wanted = program_builder.build(run).shapes["params"]
    found = {}
    for initial in (
        FromHuggingFace(str(published / "hf")),
        FromT5X(str(published / "t5x")),
        FromRun(str(published / "run")),
    ):
        params, origin = initial_parameters(initial, wanted, print)
        assert str(published) in origin["path"]
        for name, leaf in named_leaves(params).items():
            assert leaf.sharding == named_leaves(wanted)[name].sharding
            known = found.setdefault(name, np.asarray(leaf))
            np.testing.assert_array_equal(known, leaf)
    assert len(found) == len(jax.tree.leaves(wanted))


@pytest.mark.slow
def test_it_trains_with_the_vocabulary_beside_the_weights(published, tmp_path, capfd):
    initial = f"--config.initial=FromHuggingFace({str(published / 'hf')!r})"
    workdir = tmp_path / "run"
    given = command(
        published, workdir, initial, "--config.tokenizer=RunTokenizer", "--config.training.steps=1"
    )
    assert main(given) == 0
    assert f"begins with the parameters of {published / 'hf'}" in capfd.readouterr().err
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    # At random it would begin near log 384 = 5.95; these weights are large, and say far worse.
    assert rows[0]["step"] == 0 and rows[0]["loss"] > 7
    assert main(["generate", f"--workdir={workdir}", f"--input={published / 'text.txt'}",
                 "--max-tokens=1", f"--output={tmp_path / 'o.jsonl'}"]) == 0  # fmt: skip


REFUSED = [
    ("FromHuggingFace(HF)", ["--config.model.d_ff=32"], "model.d_ff: 32 here, 64 in"),
    ("FromHuggingFace(HF)", ["--config.tokenizer=Bytes(7)"], "its vocabulary .*=RunTokenizer"),
    ("FromHuggingFace('no/dir')", [], "no/dir/config.json: is not there"),
    ("FromHuggingFace('')", [], "config.initial.path: empty"),
    ("FromRun(HF)", [], "is a Hugging Face directory; --config.initial=FromHuggingFace"),
    ("FromT5X(T5X, step=3)", [], "--step=3: .* holds 7"),
    ("FromT5X(T5X)", ["--config.model.encoder_layers=3"], "encoder_layers: 3 here, 2 in"),
]


@pytest.mark.parametrize("initial, arguments, named", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(
    published, tmp_path, capsys, initial, arguments, named
):
    for name, folder in (("HF", "hf"), ("T5X", "t5x")):
        initial = initial.replace(f"({name}", f"({str(published / folder)!r}")
    assert main(command(published, tmp_path, f"--config.initial={initial}", *arguments)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("t2t: ")
    with pytest.raises(UserError, match=named):
        raise UserError(line)
    assert not (tmp_path / "checkpoints").is_dir() or not list((tmp_path / "checkpoints").iterdir())
