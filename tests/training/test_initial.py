"""Fine-tuning from a run: its parameters and vocabulary, and nothing else of it; then on its own."""

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.data.tokenizer_files import keep, kept
from t2t.data.tokenizers import ByteTokenizer
from t2t.errors import UserError
from t2t.training import programs as program_builder
from t2t.training.initial import initial_parameters
from t2t.training.initial_config import FromRun
from t2t.training.leaf_names import named_leaves
from tests.tiny import get_config, write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
VOCABULARY = "--config.tokenizer=TrainedSentencePiece(vocabulary_size=280,extra_ids=30)"
MESH = ["--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.mesh.tensor=2"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def base(text, tmp_path_factory):
    """A pre-trained run with a vocabulary of its own."""
    workdir = tmp_path_factory.mktemp("base")
    train(text, workdir, VOCABULARY)
    return workdir


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Text of another field, on which that vocabulary would not have been trained."""
    path = tmp_path_factory.mktemp("other") / "sums.txt"
    path.write_text("\n\n".join(f"{i} plus {i * 7} is {i * 8}, said he. " * 6 for i in range(200)))
    return path


def command(text, workdir, *arguments) -> list[str]:
    return ["train", f"--config={RECIPE}:{text}", f"--workdir={workdir}", *map(str, arguments)]


def train(text, workdir, *arguments) -> dict:
    """Trains; returns the metric rows by (split, step)."""
    assert main(command(text, workdir, *arguments)) == 0
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {(row["split"], row["step"]): row for row in rows}


def fine_tuning(base) -> list[str]:
    return [f"--config.initial=FromRun({str(base)!r})", "--config.tokenizer=RunTokenizer"]


def stored(workdir, step: int) -> dict:
    return ocp.PyTreeCheckpointer().restore(workdir / "checkpoints" / str(step) / "state")


def rows_of(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "mesh", [pytest.param([], marks=pytest.mark.slow), MESH], ids=["data", "data, fsdp, tensor"]
)
def test_it_begins_where_the_run_ended_and_counts_steps_anew(text, base, tmp_path, mesh, capfd):
    rows = train(text, tmp_path, *fine_tuning(base), *mesh, "--config.training.steps=2")
    ended = {(r["split"], r["step"]): r for r in rows_of(base)}["eval/held_out", 12]
    assert rows["eval/held_out", 0]["loss"] == pytest.approx(ended["loss"], rel=1e-5)
    assert rows["train", 1]["learning_rate"] == pytest.approx(0.02 * 0.2)
    assert f"begins with the parameters of {base}, step 12" in capfd.readouterr().err
    assert stored(tmp_path, 2)["opt_state"]["count"] == 2
    for name, leaf in named_leaves(stored(base, 12)["params"]).items():
        assert not np.array_equal(leaf, named_leaves(stored(tmp_path, 2)["params"])[name]), name


def test_an_earlier_step_and_another_dropout_may_be_asked_for(text, base, tmp_path):
    initial = f"--config.initial=FromRun({str(base)!r}, step=4)"
    rows = train(
        text,
        tmp_path,
        *(initial, "--config.tokenizer=RunTokenizer"),
        *("--config.model.dropout=0.1", "--config.training.steps=1"),
    )
    then = {(r["split"], r["step"]): r for r in rows_of(base)}["eval/held_out", 4]
    assert rows["eval/held_out", 0]["loss"] == pytest.approx(then["loss"], rel=1e-5)


def test_its_own_checkpoint_is_all_that_resuming_and_decoding_need(
    text, base, other, tmp_path, capfd
):
    """The initial run, its text and the trained vocabulary's cache are gone; bit for bit the same."""
    gone = tmp_path / "base"
    shutil.copytree(base, gone)
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    train(other, straight, *fine_tuning(gone), "--config.training.steps=8")
    train(other, parts, *fine_tuning(gone), "--config.training.steps=4")
    shutil.rmtree(gone)
    train(other, parts, *fine_tuning(gone), "--config.training.steps=8")
    assert f"resumed from step 4 of {parts}" in capfd.readouterr().err
    wanted, found = (named_leaves(stored(folder, 8)) for folder in (straight, parts))
    assert wanted.keys() == found.keys()
    for name in wanted:
        np.testing.assert_array_equal(wanted[name], found[name], err_msg=name)

    source = tmp_path / "in.txt"
    source.write_text("a line to go on from\n")
    assert main(["generate", f"--workdir={parts}", f"--input={source}", "--max-tokens=4"]) == 0
    assert kept(str(parts)).vocabulary == kept(str(base)).vocabulary


def test_the_kept_vocabulary_is_the_one_that_was_trained(base, tmp_path):
    ours = kept(str(base))
    assert ours.vocabulary.size == 310 and len(ours.vocabulary.sentinels) == 30
    keep(ours, str(tmp_path))
    again = kept(str(tmp_path))
    assert again.vocabulary == ours.vocabulary
    line = "The reference says <extra_id_0> so."
    np.testing.assert_array_equal(again.encode([line])[0], ours.encode([line])[0])
    keep(ByteTokenizer(7), str(tmp_path / "bytes"))
    assert kept(str(tmp_path / "bytes")).vocabulary == ByteTokenizer(7).vocabulary
    facts = tmp_path / "tokenizer.json"
    facts.write_text(facts.read_text().replace(ours.vocabulary.fingerprint, "0" * 32))
    with pytest.raises(UserError, match="is not the vocabulary"):
        kept(str(tmp_path))


REFUSED = [
    (["--config.initial=FromRun('no/run')"], "config.initial.path: no/run holds no run"),
    (["--config.initial=FromRun('')"], "config.initial.path: empty"),
    (["--config.initial=FromRun(BASE, step=7)"], "config.initial: .*has no step 7; .* 12"),
    (["--config.initial=FromRun(BASE)", "--config.tokenizer=Bytes"], "fingerprint.*RunTokenizer"),
    (
        ["--config.initial=FromRun(BASE)", "--config.model.vocab_size=512"],
        "config.model.vocab_size: 512 here, 384 in .*; set it to what it is there",
    ),
    (
        ["--config.initial=FromRun(BASE)", "--config.model.gated=false", "--config.model.d_ff=32"],
        "config.model.d_ff: 32 here, 64 in .*config.model.gated: False here, True in",
    ),
    (["--config.initial=none"], "config.tokenizer.path: names no run"),
    (["--config.tokenizer=RunTokenizer('no/run')"], "no/run: holds no vocabulary"),
]


@pytest.mark.parametrize("arguments, named", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(text, base, tmp_path, capsys, arguments, named):
    arguments = [a.replace("BASE", repr(str(base))) for a in arguments]
    given = command(text, tmp_path / "run", "--config.tokenizer=RunTokenizer", *arguments)
    assert main(given) == 2
    err = capsys.readouterr().err
    line = err.splitlines()[-1]
    assert line.startswith("t2t: ")
    with pytest.raises(UserError, match=named):
        raise UserError(line)
    assert not (tmp_path / "run" / "checkpoints").exists() or not list(
        (tmp_path / "run" / "checkpoints").iterdir()
    )


def test_every_leaf_that_does_not_fit_is_listed(text, base):
    wanted = program_builder.build(get_config(str(text)), jax.devices()[:1]).shapes["params"]
    wanted["lm_head"]["kernel"] = jax.ShapeDtypeStruct((32, 512), jnp.float32)
    wanted["encoder"]["first_norm"] = wanted["encoder"].pop("final_norm")
    with pytest.raises(UserError) as error:
        initial_parameters(FromRun(str(base)), wanted, print)
    assert "has no params/encoder/first_norm/scale" in str(error.value)
    assert "params/lm_head/kernel has shape (32, 384) there and (32, 512)" in str(error.value)
    assert "holds params/encoder/final_norm/scale, which this run has not" in str(error.value)


def test_leaves_are_cast_and_born_on_the_mesh(text, base):
    run = runs.load(f"{RECIPE}:{text}", [("mesh.fsdp", "8"), ("mesh.data", "1")])
    shapes = program_builder.build(run).shapes["params"]
    wanted = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s.shape, jnp.bfloat16, sharding=s.sharding), shapes
    )
    found, origin = initial_parameters(FromRun(str(base), 8), wanted, print)
    assert (origin["path"], origin["step"]) == (str(base), 8)
    query = found["encoder"]["layers"]["self_attention"]["query"]["kernel"]
    assert query.dtype == jnp.bfloat16
    assert query.addressable_shards[0].data.shape == (2, 4, 32)
    there = stored(base, 8)["params"]["encoder"]["layers"]["self_attention"]["query"]["kernel"]
    np.testing.assert_array_equal(query, there.astype(jnp.bfloat16))
