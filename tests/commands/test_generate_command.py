"""`t2t generate` as a user meets it: files, several devices, and a line by line terminal."""

import json
import os
import pathlib
import re
import select
import subprocess
import sys
import time

import pytest

from t2t.cli import main
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


def test_samples_of_a_seed_are_the_same_again(workdir, inputs, tmp_path):
    found = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.jsonl"
        extra = ["--samples=2", "--seed=5", f"--batch-size={1 if name == 'b' else 32}"]
        assert generate(workdir, f"--input={inputs}", f"--output={out}", *extra) == 0
        found.append([[o["tokens"] for o in row["outputs"]] for row in written(out)])
    assert found[0] == found[1]
    assert all(len(outputs) == 2 for outputs in found[0])
