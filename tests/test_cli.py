"""The command line as a user meets it: exit codes, one line of error, and what each verb prints."""

import gzip
import json
import os
import subprocess
import sys
import time

import pytest

from t2t.cli import main
from tests.recipe_text import write_recipe

PROSE = [
    f"Paragraph {i}: the committee of house number {i * 7} met again, and the clerk read aloud what "
    f"had been agreed {i % 5} days before; nobody in the room objected to item {i * 3}."
    for i in range(60)
]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("cli"), PROSE)


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys, *arguments, code: int = 2) -> str:
    """Runs a command that must be refused in one line; returns the line."""
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, ""), err
    assert err.count("\n") == 1 and err.startswith("t2t: ") and "Traceback" not in err
    return err


# One mutation of the valid recipe each: (field, value, what the line must name besides the field).
WRONG = [
    ("model.d_modl", "64", "'d_model'"),
    ("modle", "64", "'model'"),
    ("model.d_model", "0", "positive"),
    ("model.d_model", "2.5", "integer"),
    ("model.d_model", "nan", "integer"),
    ("model.heads", "-2", "positive"),
    ("model.vocab_size", "300", "384"),
    ("model.vocab_size", "256", "259"),
    ("model.activation", "gelu_tan", "'gelu_tanh'"),
    ("model.dropout", "1.0", "[0, 1)"),
    ("model.dropout", "inf", "finite"),
    ("model.norm_epsilon", "0", "positive"),
    ("model.relative_buckets", "30", "multiple of 4"),
    ("model.relative_max_distance", "16", "exceed"),
    ("model.gated", "maybe", "true or false"),
    ("model.dtype", "float8", "one of"),
    ("tokenizer", "Byte", "'Bytes'"),
    ("tokenizer", "SentencePiece", "path"),
    ("tokenizer.extra_ids", "-1", "negative"),
    ("tokenizer", "Bytes(extra_ids=200)", "vocab_size"),
    ("data.batch_size", "0", "positive"),
    ("data.batch_size", "(8,)", "integer"),
    ("data.order", "shufled", "'shuffled'"),
    ("data.train.corpora", "()", "no corpus"),
    ("data.train.corpora", "(Corpus('a'),)", "source"),
    ("data.train.corpora[0].rate", "-1", "positive"),
    ("data.train.corpora[0].documents", "(0.9,0.1)", "increasing"),
    ("data.train.corpora[0].documents", "(0.1,)", "2 elements"),
    ("data.train.corpora[0].source.paths", "()", "no path"),
    ("data.train.corpora[0].source.field", "", "empty"),
    ("data.train.temperature", "3", "weighting"),
    ("data.evaluation[0].name", "a b", "letters"),
    ("data.batch_ramp", "((4,2),(3,4))", "increase"),
    ("objective.inputs_length", "2", "too short"),
    ("objective.targets_length", "5", "too short"),
    ("objective.noise_density", "1.5", "between 0 and 1"),
    ("objective", "SpanCorruption(400)", "sentinels"),
    ("optimizer.b1", "0.9", "AdamW"),
    ("optimizer", "Optax('adm')", "'adam'"),
    ("optimizer.clip_global_norm", "0", "positive"),
    ("optimizer.decay_kinds", "kernel,bais", "'bias'"),
    ("schedule.peak", "-1e-3", "positive"),
    ("schedule.peak", "nan", "finite"),
    ("schedule", "Cosine(warmup_steps=4)", "warmup_steps"),
    ("training.steps", "0", "at least 1"),
    ("training.accumulation", "3", "batch_size"),
    ("training.label_smoothing", "1", "[0, 1)"),
    ("evaluation.every_steps", "0", "at least 1"),
    ("checkpoints", "Checkpoints(keep_best=2)", "best_metric"),
    ("checkpoints.best_metric", "eval/hold/loss", "'eval/held/loss'"),
    ("checkpoints.keep_latest", "0", "at least 1"),
    ("mesh.data", "3", "batch_size"),
    ("mesh.tensor", "4", "model.heads"),
    ("mesh.fsdp", "-1", "only one axis"),
    ("mesh.context", "5", "inputs_length"),
    ("mesh.expert", "2", "has no experts; set it to 1"),
    ("monitoring.profile", "(3,9)", "training.steps"),
    ("monitoring.log_every", "0", "at least 1"),
]


@pytest.mark.parametrize("field, value, named", WRONG)
def test_a_wrong_field_is_refused_in_one_line_that_names_it(capsys, recipe, field, value, named):
    line = refused(capsys, "prepare", f"--config={recipe}", f"--config.{field}={value}")
    assert named in line
    assert f"config.{field}" in line


def test_there_are_forty_wrong_configurations():
    assert len({(field, value) for field, value, _ in WRONG}) == len(WRONG) >= 40


MUTATED_FILES = [
    ("batch_size=8,", "batch_size=8, batch_sise=8,", "'batch_size'"),
    ("return Run(", "return Run((", "SyntaxError"),
    ("return Run(", "return 1 / 0, Run(", "ZeroDivisionError"),
    ("def get_config", "def get_konfig", "get_config"),
    ("return Run(", "return str(Run(", "SyntaxError"),
    ("from t2t.run import Run", "from t2t.run import Runn as Run", "ImportError"),
    ("text.jsonl", "texts.jsonl", "'text.jsonl'"),
    ("batch_size=8,", 'batch_size="8",', "config.data.batch_size"),
]


@pytest.mark.parametrize("old, new, named", MUTATED_FILES)
def test_a_wrong_recipe_is_named_by_file_and_place(capsys, recipe, tmp_path, old, new, named):
    text = recipe.read_text()
    assert old in text
    bad = tmp_path / "bad.py"
    bad.write_text(text.replace(old, new, 1))
    line = refused(capsys, "prepare", f"--config={bad}")
    assert named in line
    assert str(bad) in line or "config.data" in line


@pytest.mark.parametrize(
    "arguments, named",
    [
        ([], "no verb"),
        (["trian"], "'train'"),
        (["--verion"], "'--version'"),
        (["train"], "--config"),
        (["train", "--config=quickstrat"], "'quickstart'"),
        (["train", "--config=t5_1_1:bse"], "'base'"),
        (["train", "--config=quickstart:x"], "no argument"),
        (["train", "--config=no/such.py"], "no/such.py"),
        (["train", "--config=quickstart", "junk"], "'junk'"),
        (["train", "--config=quickstart", "--workdri=x"], "'--workdir'"),
        (["train", "--config=quickstart", "--config.training.steps"], "has no value"),
        (["train", "--config=quickstart", "--config.training.steps", "--debug"], "has no value"),
        (["train", "--config=quickstart", "--profile=abc"], "--profile=abc"),
        (["train", "--config=quickstart", "--profile=9:3"], "config.monitoring.profile"),
        (["inspect", "--config=quickstart", "--step=-1"], "--step"),
        (["inspect", "--config=quickstart", "--step=x"], "--step"),
        (["inspect", "--config=quickstart", "--corpus=held_uot"], "'held_out'"),
        (["prepare", "--config=quickstart", "--workers=0"], "--workers"),
        (["report"], "DIR"),
        (["report", "no/such"], "no/such: no such directory"),
        (["report", "no/such", "--outptu=x"], "'--output'"),
        (["report", "no/such", "--config.a=1"], "--config.a"),
        (["generate"], "--workdir"),
        (["generate", "--workdir=no/such"], "holds no run"),
        (["generate", "--workdir=x", "--config.a=1"], "--config.a"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(capsys, arguments, named):
    assert named in refused(capsys, *arguments)


def test_a_value_may_follow_its_field_after_a_space(capsys, recipe):
    line = refused(capsys, "prepare", "--config", recipe, "--config.training.steps", "-3")
    assert "config.training.steps: must be at least 1, got -3" in line


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"config": 5}', b"\xff\xfe", b"{}"])
def test_a_foreign_config_json_is_named(capsys, recipe, tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    for command in (["generate"], ["train", f"--config={recipe}"]):
        line = refused(capsys, *command, f"--workdir={tmp_path}")
        assert str(tmp_path / "config.json") in line


def test_another_runs_directory_is_refused_with_the_difference(capsys, recipe, tmp_path):
    from t2t import run as runs

    runs.open_directory(runs.load(str(recipe)), str(tmp_path))
    line = refused(
        capsys, "train", f"--config={recipe}", f"--workdir={tmp_path}", "--config.training.seed=7"
    )
    assert "config.training.seed: 0 -> 7" in line


def test_a_workdir_that_cannot_be_written_is_named(capsys, recipe):
    workdir = recipe.parent / "text.jsonl" / "run"  # under a file
    assert f"--workdir={workdir}" in refused(
        capsys, "train", f"--config={recipe}", f"--workdir={workdir}"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"model_type": "t5", "d_model": 5',
            "is damaged, not JSON (Expecting ',' delimiter: line 1",
        ),
        ('{"d_model": 5}', "is no run's configuration, nor that of published weights"),
        ("[1]", "is no run's configuration, nor that of published weights"),
    ],
)
def test_a_configuration_that_is_none_is_told_from_a_damaged_one(capsys, tmp_path, content, said):
    (tmp_path / "config.json").write_text(content)
    found = refused(capsys, "generate", f"--workdir={tmp_path}")
    assert f"{tmp_path}/config.json: {said}" in found


def test_generate_wants_a_line_of_text(capsys, recipe, tmp_path, monkeypatch):
    import io

    from t2t import run as runs

    runs.open_directory(runs.load(str(recipe)), str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    assert "no line of text" in refused(capsys, "generate", f"--workdir={tmp_path}")
    torn = "été\n".encode() + b"\xe9t\xe9\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(torn), errors="surrogateescape"))
    assert "--input=-: line 2 is not UTF-8 text" in refused(
        capsys, "generate", f"--workdir={tmp_path}"
    )
    named = refused(capsys, "generate", f"--workdir={tmp_path}", "--field=text", "--input=in.txt")
    assert "--field=text: is of .jsonl files" in named
    missing = refused(capsys, "generate", f"--workdir={tmp_path}", "--input=no/such.txt")
    assert "--input=no/such.txt" in missing


def test_an_unreadable_line_of_data_is_named_by_file_and_line(capsys, tmp_path):
    bad = write_recipe(tmp_path, PROSE[:3])
    with open(tmp_path / "text.jsonl", "a") as file:
        file.write("{not json\n")
    line = refused(capsys, "prepare", f"--config={bad}", "--workers=1").splitlines()[-1]
    assert f"{tmp_path / 'text.jsonl'}" in line and "4" in line


def test_prepare_and_inspect_show_real_text(capsys, tmp_path, shared_data):
    with gzip.open(shared_data / "corpora" / "sotu.jsonl.gz", "rt") as file:
        texts = [json.loads(file.readline())["text"] for _ in range(6)]
    recipe = write_recipe(tmp_path, texts)
    code, out, _ = run(capsys, "prepare", f"--config={recipe}", "--workers=1")
    size = sum(len(text.encode()) for text in texts)  # bytes are this vocabulary's tokens
    assert code == 0 and f"train/prose: 6 documents, {size:,} tokens" in out
    code, out, _ = run(capsys, "inspect", f"--config={recipe}", "--step=3", "--rows=2")
    assert code == 0
    assert "step 3: samples 24..31, 8 rows" in out and "100.00% filled" in out
    assert out.count("row ") >= 2 and "<extra_id_0>" in out and "targets ids:" in out
    # Inputs and targets put together again are a piece of the text itself.
    shown = {
        kind: next(line for line in out.splitlines() if line.startswith(f"    {kind} ("))
        for kind in ("inputs", "targets")
    }
    inputs, targets = (line.partition("): ")[2] for line in shown.values())
    from t2t.decoding.fill import SENTINEL, spans

    masked = spans(targets)
    first = SENTINEL.split(inputs)[0]
    # A sentinel's neighbours may lose the space beside it; the unmasked beginning is verbatim.
    assert first and any(first.strip() in text for text in texts) and masked[0]
    line = refused(capsys, "inspect", f"--config={recipe}", "--step=4")
    assert "--step=4: the batches are 0 to 3" in line
    code, out, _ = run(capsys, "inspect", f"--config={recipe}", "--corpus=held", "--rows=0")
    assert code == 0 and "corpus held" in out


def test_import_and_help_are_quick_and_leave_jax_alone():
    importing = (
        "import time; t = time.perf_counter(); import t2t; t = time.perf_counter() - t;"
        "import sys; assert 'jax' not in sys.modules; print(t)"
    )
    helping = (
        "import sys; from t2t.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as e: assert e.code == 0\n"
        "assert not {'jax', 'numpy', 'fsspec'} & set(sys.modules)"
    )
    best_import, best_help = 9.0, 9.0
    for _ in range(3):
        found = subprocess.run([sys.executable, "-c", importing], capture_output=True, check=True)
        best_import = min(best_import, float(found.stdout))
        begun = time.perf_counter()
        found = subprocess.run([sys.executable, "-c", helping], capture_output=True, check=True)
        best_help = min(best_help, time.perf_counter() - begun)
    assert b"inspect" in found.stdout
    assert best_import < 0.3 and best_help < 1.0


def _t2t(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "t2t.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "XLA_FLAGS": "", **environment},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, code",
    [
        (["train", "--config=quickstrat"], 2),
        (["train", "--config=quickstart", "--config.mesh.data=5"], 2),
        (["train", "--config={recipe}", "--config.mesh.data=2", "--workdir={folder}/a"], 2),
        (["generate", "--workdir=nowhere"], 2),
        (["inspect", "--config={recipe}", "--step=99"], 2),
    ],
)
def test_real_processes_end_with_one_line(recipe, arguments, code):
    found = _t2t(*(a.format(recipe=recipe, folder=recipe.parent) for a in arguments))
    assert found.returncode == code, found.stderr
    last = found.stderr.splitlines()[-1]
    assert last.startswith("t2t: ") and "Traceback" not in found.stderr


@pytest.mark.slow
def test_train_profile_deterministic_and_debug(recipe, tmp_path):
    """All three switches on a tiny model; --debug names the layer where the numbers explode."""
    found = _t2t(
        "train", f"--config={recipe}", f"--workdir={tmp_path}/run", "--profile=2:3",
        "--config.training.deterministic=true",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
    found = _t2t("train", f"--config={recipe}", f"--workdir={tmp_path}/eager", "--debug")
    assert found.returncode == 0, found.stderr
    losses = [
        [json.loads(row) for row in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("run", "eager")
    ]
    pairs = [(a["loss"], b["loss"]) for a, b in zip(*losses, strict=True) if a["split"] == "train"]
    assert len(pairs) == 4 and all(a == pytest.approx(b, rel=1e-4) for a, b in pairs)
    found = _t2t(
        "train", f"--config={recipe}", f"--workdir={tmp_path}/nan", "--debug",
        "--config.optimizer=Optax('sgd')", "--config.schedule.peak=1e18",
    )  # fmt: skip
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert "the first value that is not finite" in last and "Traceback" not in found.stderr
    assert "step 2:" in last and "output of encoder/layers, layer 0" in last


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_no_checkpoint(recipe, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted: {mounted.stderr.strip()}")
    try:
        workdir = disk / "run"
        command = ["train", f"--config={recipe}", f"--workdir={workdir}"]
        keep = "--config.checkpoints.keep_latest=100"
        assert _t2t(*command, keep).returncode == 0
        before = sorted(p.name for p in (workdir / "checkpoints").iterdir())
        found = _t2t(
            *command, keep, "--config.training.steps=400", "--config.checkpoints.every_steps=1"
        )
        assert found.returncode == 1, found.stderr
        last = found.stderr.splitlines()[-1]
        assert last.startswith("t2t: ") and "Traceback" not in found.stderr, found.stderr
        assert "space" in last or "full" in last
        assert set(before) <= {p.name for p in (workdir / "checkpoints").iterdir()}
        text = tmp_path / "in.txt"
        text.write_text("the <extra_id_0> of\n")
        found = _t2t("generate", f"--workdir={workdir}", f"--input={text}", "--step=4")
        assert found.returncode == 0, found.stderr
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
