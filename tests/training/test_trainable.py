"""Training a part of the parameters: by name and by LoRA; on a mesh; saved, resumed and decoded."""

import dataclasses
import functools
import json
import pathlib
import re
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.data.feed import Feed
from t2t.models.lora_config import LoRA, is_adapter
from t2t.parallel import sharding
from t2t.parallel.mesh_config import Mesh
from t2t.training import programs as program_builder
from t2t.training.config import Training
from t2t.training.early_stopping import EarlyStopping
from t2t.training.inputs import open_inputs
from t2t.training.leaf_names import named_leaves
from t2t.training.optimizer_config import AdamW
from t2t.training.restored import restored
from t2t.training.schedule_config import Constant
from t2t.training.streamed_checkpoint import stored_parameters
from tests.tiny import get_config, write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
PATTERN = ".*relative_bias/table|lm_head/kernel"
LORA = LoRA(rank=2, dropout=0.1)
STEPS = 6


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text"))


# ------------------------------------------------------------------------- programs, on two meshes


@pytest.fixture(scope="module")
def trained(text):
    """Returns a function: mesh -> (first state, last state, losses), each mesh trained once.

    Everything at once: adapters with dropout, two kinds of leaves trained beside them, layer decay.
    """
    run = dataclasses.replace(
        get_config(str(text)),
        training=Training(seed=3, trainable=PATTERN, lora=LORA, layer_decay=0.8),
        optimizer=AdamW(),
        schedule=Constant(peak=0.03),
    )
    runs.check(run)
    samples = open_inputs(run, lambda line: None).train

    @functools.cache
    def on(mesh: Mesh):
        devices = jax.devices()[: 1 if mesh == Mesh() else 8]
        programs = program_builder.build(dataclasses.replace(run, mesh=mesh), devices)
        state = programs.init(program_builder.init_key(run.training.seed))
        first, losses = jax.tree.map(np.asarray, state), []
        place = functools.partial(sharding.batch_sharding, programs.mesh)
        with Feed(samples, 0, STEPS, place) as feed:
            for batch in feed:
                state, metrics = programs.train(state, batch)
                losses.append(float(metrics["loss"]))
        return first, state, losses

    return on


def test_only_the_chosen_are_trained_and_have_optimizer_state(trained):
    first, last, losses = trained(Mesh())
    chosen, frozen = named_leaves(first["params"]), named_leaves(first["frozen"])
    assert all(is_adapter(name) or re.fullmatch(PATTERN, name) for name in chosen)
    assert {n for n in chosen if not is_adapter(n)} == {
        "encoder/relative_bias/table",
        "decoder/relative_bias/table",
        "lm_head/kernel",
    }
    assert sum(map(is_adapter, chosen)) == 2 * 2 * 3  # A, B of query, value; three attentions
    assert "token_embedding/table" in frozen and not chosen.keys() & frozen.keys()
    for moment in (first["opt_state"].first, first["opt_state"].second):
        assert named_leaves(moment).keys() == chosen.keys()
    for name, leaf in named_leaves(last["frozen"]).items():
        np.testing.assert_array_equal(leaf, frozen[name], err_msg=name)
    for name, leaf in named_leaves(last["params"]).items():
        assert not np.array_equal(leaf, chosen[name]), name
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.slow
def test_a_mesh_of_eight_trains_the_same(trained):
    _, alone, losses = trained(Mesh())
    _, split, found = trained(Mesh(data=2, fsdp=2, tensor=2))
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    query = split["params"]["encoder"]["layers"]["self_attention"]["query"]["lora"]
    assert query["a"].addressable_shards[0].data.shape == (2, 16, 2)  # fsdp
    assert query["b"].addressable_shards[0].data.shape == (2, 2, 16)  # tensor
    for name, leaf in named_leaves(split["frozen"]).items():
        np.testing.assert_array_equal(leaf, named_leaves(alone["frozen"])[name], err_msg=name)


# ------------------------------------------------------------------------------ the command line


def train(text, workdir, *arguments) -> dict:
    """Trains; returns the metric rows by (split, step)."""
    given = ["train", f"--config={RECIPE}:{text}", f"--workdir={workdir}", *map(str, arguments)]
    assert main(given) == 0
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert len({(row["split"], row["step"]) for row in rows}) == len(rows)
    return {(row["split"], row["step"]): row for row in rows}


def stored(workdir, step: int) -> dict:
    state = ocp.PyTreeCheckpointer().restore(workdir / "checkpoints" / str(step) / "state")
    return {name: np.asarray(leaf) for name, leaf in named_leaves(state).items()}


@pytest.fixture(scope="module")
def base(text, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("base")
    train(text, workdir, "--config.training.steps=4")
    return workdir


@pytest.fixture(scope="module")
def adapted(text, base, tmp_path_factory):
    """(LoRA on a mesh, its rows), begun with a run that is gone afterwards; stopped and resumed."""
    folder = tmp_path_factory.mktemp("lora")
    gone = folder / "base"
    shutil.copytree(base, gone)
    arguments = [
        f"--config.initial=FromRun({str(gone)!r})",
        *("--config.training.lora=LoRA(rank=2,dropout=0.1)", "--config.training.layer_decay=0.9"),
        *("--config.optimizer=AdamW", "--config.schedule=Constant(peak=0.03)"),
        *("--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.mesh.tensor=2"),
    ]
    train(text, folder / "straight", *arguments, "--config.training.steps=8")
    train(text, folder / "parts", *arguments, "--config.training.steps=4")
    shutil.rmtree(gone)
    return folder, train(text, folder / "parts", *arguments, "--config.training.steps=8")


def test_resuming_needs_nothing_from_outside_and_ends_bit_for_bit_the_same(adapted):
    folder, _ = adapted
    wanted, found = stored(folder / "straight", 8), stored(folder / "parts", 8)
    assert wanted.keys() == found.keys()
    for name in wanted:
        np.testing.assert_array_equal(wanted[name], found[name], err_msg=name)


def test_checkpoints_hold_the_adapters_alone_and_the_base_stands_once(base, adapted):
    folder, _ = adapted
    assert all(is_adapter(n) for n in stored(folder / "parts", 4) if n.startswith("params/"))
    kept = ocp.PyTreeCheckpointer().restore(folder / "parts" / "frozen" / "0" / "state")
    wanted = {n: x for n, x in stored(base, 4).items() if n.startswith("params/")}
    kept = {f"params/{n}": x for n, x in named_leaves(kept["frozen"]).items()}
    assert kept.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(kept[name], wanted[name], err_msg=name)
    assert [p.name for p in (folder / "parts" / "frozen").iterdir()] == ["0"]


def test_a_lora_run_is_decoded_merged_and_begun_with(text, adapted, tmp_path, capfd):
    folder, rows = adapted
    run = runs.load_saved(str(folder / "parts"))
    model, params, _ = restored(run, str(folder / "parts"))
    assert jax.tree.structure(params) == jax.tree.structure(model.shapes)
    name = "encoder/layers/self_attention/query"
    state = stored(folder / "parts", 8)
    a, b = (np.float64(state[f"params/{name}/lora/{n}"]) for n in "ab")
    kept = ocp.PyTreeCheckpointer().restore(folder / "parts" / "frozen" / "0" / "state")
    kernel = named_leaves(kept["frozen"])[f"{name}/kernel"]
    np.testing.assert_allclose(
        named_leaves(params)[f"{name}/kernel"],
        kernel + 16 / 2 * np.einsum("lir,lro->lio", a, b),
        rtol=1e-4,
        atol=1e-5,
    )
    _, leaves = stored_parameters(str(folder / "parts" / "checkpoints"), run.model)
    for path, leaf in leaves.items():  # as `convert` reads it, a leaf at a time
        found = leaf.read(tuple(slice(0, n) for n in leaf.shape))
        np.testing.assert_array_equal(found, named_leaves(params)["/".join(path)])
    merged = tmp_path / "merged"
    assert main(["convert", str(folder / "parts"), str(merged), "--to=t2t"]) == 0
    assert "merged into the kernels" in capfd.readouterr().err
    plain = runs.load_saved(str(merged))
    assert plain == dataclasses.replace(
        run, training=dataclasses.replace(run.training, lora=None, trainable=None)
    )
    jax.tree.map(np.testing.assert_array_equal, restored(plain, str(merged))[1], params)
    source = tmp_path / "in.txt"
    source.write_text("a line to go on from\n")
    workdir = folder / "parts"
    assert main(["generate", f"--workdir={workdir}", f"--input={source}", "--max-tokens=3"]) == 0
    again = train(
        text,
        tmp_path / "again",
        *(f"--config.initial=FromRun({str(workdir)!r})", "--config.training.steps=1"),
    )
    ended = rows["eval/held_out", 8]["loss"]
    assert ended < rows["eval/held_out", 0]["loss"] - 0.05
    assert again["eval/held_out", 0]["loss"] == pytest.approx(ended, rel=1e-4)


def test_a_damaged_or_exchanged_base_is_noticed(text, base, adapted, tmp_path, capfd):
    folder, _ = adapted
    copy = tmp_path / "copy"
    shutil.copytree(folder / "parts", copy)
    manifest = copy / "frozen" / "0" / "manifest" / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"step": 0', '"step": 1'))
    assert main(["generate", f"--workdir={copy}", f"--input={base / 'config.json'}"]) == 1
    assert "frozen/0: is not sound: manifest.json: is damaged" in capfd.readouterr().err
    manifest.write_text(whole)
    record = copy / "checkpoints" / "8" / "manifest" / "manifest.json"
    from t2t.training.checkpoint_reading import checksum

    content = json.loads(record.read_text())["content"]
    content["record"]["frozen"] += 1
    record.write_text(json.dumps({"crc32": checksum(content), "content": content}))
    assert main(["generate", f"--workdir={copy}", f"--input={base / 'config.json'}"]) == 1
    assert "other parameters than those beside which" in capfd.readouterr().err


def test_early_stopping_ends_the_run_once_and_for_all(text, base, tmp_path, capfd):
    stopping = EarlyStopping("eval/held_out/loss", patience=2, least_gain=100.0)
    arguments = [
        f"--config.initial=FromRun({str(base)!r})",
        f"--config.training.early_stopping={stopping}",
        *("--config.evaluation.every_steps=1", "--config.training.steps=8"),
        *("--config.checkpoints.keep_best=1", "--config.checkpoints.keep_latest=1"),
        *("--config.checkpoints.best_metric=eval/held_out/loss", "--config.evaluation.batches=1"),
        "--config.checkpoints.every_steps=1",
    ]
    rows = train(text, tmp_path, *arguments)
    assert max(step for split, step in rows if split == "train") == 2
    said = capfd.readouterr().err
    assert "stopped at step 2: eval/held_out/loss has not got better than" in said
    assert "of step 0" in said
    assert train(text, tmp_path, *arguments) == rows, "the same command does not go on"
    assert "stopped at step 2" in capfd.readouterr().err


REFUSED = [
    ("training.trainable", "decoder", "matches the whole name of no parameter; they are decoder/"),
    ("training.trainable", "(", "not a regular expression"),
    ("training.lora", "LoRA(kernels='wi')", "they are decoder/layers/cross_attention/key/kernel"),
    ("training.lora", "LoRA(rank=0)", "config.training.lora.rank"),
    ("training.layer_decay", "1.5", r"must be in \(0, 1\]"),
    ("training.early_stopping", "EarlyStopping('eval/held/loss')", "did you mean 'eval/held_out"),
    ("training.early_stopping", "EarlyStopping('eval/held_out/accuracy')", "early_stopping.mode"),
    ("checkpoints", "Checkpoints(best_metric='eval/held_out/accuracy')", "best_mode.*'max'"),
]


@pytest.mark.parametrize("field, value, named", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(text, tmp_path, capfd, field, value, named):
    given = ["train", f"--config={RECIPE}:{text}", f"--workdir={tmp_path}"]
    assert main([*given, f"--config.{field}={value}"]) == 2
    assert re.search(f"^t2t: .*{named}", capfd.readouterr().err, re.MULTILINE)
