"""`t2t generate` as a user meets it: files, several devices, and a line by line terminal."""

import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import time

import pytest

from t2t.cli import main
from t2t.decoding.journal import Journal
from t2t.training.checkpoint_reading import checksum
from tests.tiny import write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
LINES = ["the <extra_id_0> of the", "a class", "for a statement <extra_id_0> is <extra_id_1>"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of four steps."""
    text = write_text(tmp_path_factory.mktemp("text"), 8000)
    folder = tmp_path_factory.mktemp("run")
    short = ["--config.training.steps=4", "--config.evaluation.batches=0"]
    assert main(["train", f"--config={RECIPE}:{text}", f"--workdir={folder}", *short]) == 0
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs") / "in.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def generate(workdir, *arguments) -> int:
    return main(["generate", f"--workdir={workdir}", "--max-tokens=8", *map(str, arguments)])


def written(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_input_gets_its_outputs_in_order_on_any_mesh(workdir, inputs, tmp_path, capsys):
    """The run's own mesh takes all eight devices; --mesh lays them out in another way."""
    found = {}
    for name, extra in {"own": [], "other": ["--mesh=fsdp=2,tensor=4"]}.items():
        out = tmp_path / f"{name}.jsonl"
        assert generate(workdir, f"--input={inputs}", f"--output={out}", "--beams=2", *extra) == 0
        found[name] = written(out)
        assert [row["inputs"] for row in found[name]] == LINES
    assert "tokens/s" in capsys.readouterr().err
    for a, b in zip(found["own"], found["other"], strict=True):
        assert [o["tokens"] for o in a["outputs"]] == [o["tokens"] for o in b["outputs"]]
        assert a["outputs"][0]["score"] == pytest.approx(b["outputs"][0]["score"], rel=1e-4)


@pytest.mark.parametrize(
    ("mesh", "named"),
    [
        ("dta=2", "'data'"),
        ("data", "AXIS=N"),
        ("data=3", "--mesh"),
        ("data=2,tensor=-1,fsdp=-1", "only one"),
        ("stage=2", "stage"),
    ],
)
def test_a_mesh_that_cannot_be_is_refused_in_one_line(workdir, inputs, capsys, mesh, named):
    assert generate(workdir, f"--input={inputs}", f"--mesh={mesh}") == 2
    err = capsys.readouterr().err
    assert err.startswith("t2t: ") and err.count("\n") == 1 and named in err


def test_on_a_terminal_it_answers_line_by_line(workdir):
    """Typed, recalled by the up arrow, an empty line, and left by Ctrl-D."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "XLA_FLAGS": ""}  # one device
    command = [sys.executable, "-m", "t2t.cli", "generate", f"--workdir={workdir}"]
    process = subprocess.Popen(
        [*command, "--max-tokens=8"], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    screen = ""

    def wait_for(pattern: str) -> str:
        """Reads until the pattern has come; returns what came up to its end, and drops that."""
        nonlocal screen
        deadline = time.monotonic() + 240
        while not (found := re.search(pattern, screen)):
            assert time.monotonic() < deadline, screen
            if select.select([master], [], [], 1)[0]:
                screen += os.read(master, 4096).decode(errors="replace")
        before, screen = screen[: found.end()], screen[found.end() :]
        return before

    try:
        wait_for("Ctrl-D leaves")
        wait_for("> ")
        os.write(master, b"blank <extra_id_0> here\n")
        first = wait_for(r"blank \[[^\]]*\] here\r?\n(?s:.*)> ")
        os.write(master, b"\n")
        wait_for("> ")
        os.write(master, b"\x1b[A\n")  # up, enter
        again = wait_for(r"blank \[[^\]]*\] here\r?\n(?s:.*)> ")
        answer = re.compile(r"blank (\[[^\]]*\]) here")
        assert answer.search(first)[1] == answer.search(again)[1]
        os.write(master, b"\x04")
        assert process.wait(60) == 0
    finally:
        process.kill()
        os.close(master)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--temperature=nan"], "generate.temperature: must be a finite number, got nan"),
        (["--beams=2", "--length-penalty=nan"], "generate.length_penalty: must be a finite"),
        (["--top-p=nan"], "generate.top_p: must be a finite number"),
        (["--beams=100000"], "generate.beams: must be in 1..1024"),
        (["--beams=1000"], "beams=1000: the model has 384 tokens; at most 192 beams"),
        (["--output={folder}"], "is a folder; name a file in it"),
        (["--output={folder}/in.txt/out.jsonl"], "in.txt"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(workdir, inputs, capsys, arguments, named):
    given = [argument.format(folder=inputs.parent) for argument in arguments]
    assert generate(workdir, f"--input={inputs}", *given) == 2
    err = capsys.readouterr().err
    assert err.startswith("t2t: ") and err.count("\n") == 1 and named in err


def test_what_another_checkpoint_of_that_step_wrote_is_not_gone_on_with(
    workdir, inputs, tmp_path, capsys, monkeypatch
):
    """Trained again in the same directory: the step is the same, the parameters are not."""
    again, out = tmp_path / "run", tmp_path / "made" / "out.jsonl"
    shutil.copytree(workdir, again)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "finish", lambda journal: None)  # as if killed before its end
        assert generate(again, f"--input={inputs}", f"--output={out}") == 0
    assert not out.exists()
    manifest = again / "checkpoints" / "4" / "manifest" / "manifest.json"
    of_first = manifest.read_text()
    stored = json.loads(of_first)
    stored["content"]["metrics"] = {"another": 1.0}
    manifest.write_text(json.dumps({**stored, "crc32": checksum(stored["content"])}))
    assert generate(again, f"--input={inputs}", f"--output={out}") == 2
    assert "another input, checkpoint or settings" in capsys.readouterr().err
    manifest.write_text(of_first)
    assert generate(again, f"--input={inputs}", f"--output={out}") == 0
    assert [row["inputs"] for row in written(out)] == LINES


@pytest.mark.slow
def test_killed_in_the_middle_it_decodes_nothing_twice(workdir, tmp_path):
    """By the real command: after SIGKILL the rows that were there stay as they are."""
    inputs = tmp_path / "in.txt"
    inputs.write_text("".join(f"the {i} of <extra_id_0>\n" for i in range(400)))
    command = [sys.executable, "-m", "t2t.cli", "generate", f"--workdir={workdir}"]
    command += [f"--input={inputs}", "--max-tokens=16", "--batch-size=4"]
    environment = {**os.environ, "XLA_FLAGS": ""}
    kept = {}
    for name, kills in {"whole": 0, "killed": 2}.items():
        out = tmp_path / f"{name}.jsonl"
        partial = tmp_path / f"{name}.jsonl.partial"
        rows: list[bytes] = []
        for kill in range(kills + 1):
            process = subprocess.Popen(
                [*command, f"--output={out}"], stderr=subprocess.PIPE, env=environment
            )
            deadline = time.monotonic() + 240
            more = len(rows) + 20
            while kill < kills and (
                not partial.exists() or partial.read_bytes().count(b"\n") < more
            ):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.002)
            if kill < kills:
                process.kill()
                process.communicate()
                now = partial.read_bytes().splitlines(keepends=True)
                assert now[: len(rows)] == rows and len(rows) < len(now) < 401
                rows = [row for row in now if row.endswith(b"\n")]
            else:
                said = process.communicate(timeout=240)[1].decode()
                assert process.returncode == 0, said
                decoded = said.splitlines()[-1].split("/")[0]
                assert decoded == "400" and not partial.exists()
        kept[name] = written(out)
        assert [row["index"] for row in kept[name]] == list(range(400))
        final = {row["index"]: row for row in kept[name]}
        assert all(final[row["index"]] == row for row in map(json.loads, rows[1:]))
    for a, b in zip(kept["whole"], kept["killed"], strict=True):
        assert [o["tokens"] for o in a["outputs"]] == [o["tokens"] for o in b["outputs"]]


def test_samples_of_a_seed_are_the_same_again(workdir, inputs, tmp_path):
    found = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.jsonl"
        extra = ["--samples=2", "--seed=5", f"--batch-size={1 if name == 'b' else 32}"]
        assert generate(workdir, f"--input={inputs}", f"--output={out}", *extra) == 0
        found.append([[o["tokens"] for o in row["outputs"]] for row in written(out)])
    assert found[0] == found[1]
    assert all(len(outputs) == 2 for outputs in found[0])
