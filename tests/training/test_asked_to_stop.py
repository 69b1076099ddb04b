"""SIGTERM to one of two processes, both held inside a phase: both leave well, and nothing is lost.

The phases are those in which a run takes no step: compiling, restoring, and evaluating, held-out text
or a task. A script runs in t2t's place which stops inside the phase, says so by a file, and goes on
only when told to by another.
"""

import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from t2t.launch.local import _two_free_ports
from tests.tiny_judged import write_task
from tests.training.test_kill import hashes
from tests.training.test_several_hosts import Run

pytestmark = pytest.mark.slow

GRACE_SECONDS = 30  # what clouds give at least
# PHASE FOLDER, then t2t's own arguments; calls: which call of what is held (evaluating: after step 4).
HELD = """
import functools, os, pathlib, sys, time
phase, folder = sys.argv[1], pathlib.Path(sys.argv[2])
del sys.argv[1:3]
from t2t import cli
from t2t.evaluation import evaluate
from t2t.parallel import compiler_flags
from t2t.training.checkpoint_reading import ocp
from t2t.training.compilation import CompiledSteps

def hold(where, name, call):
    function, calls = getattr(where, name), []
    @functools.wraps(function)
    def held(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            (folder / f"held-{os.getpid()}").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
        return function(*args, **kwargs)
    setattr(where, name, held)

hold(*{
    "compiling": (compiler_flags, "compiled", 1),
    "restoring": (ocp.PyTreeCheckpointer, "restore", 1),
    "evaluating": (CompiledSteps, "evaluate", 3),
    "judging": (evaluate, "decode_each", 2),
}[phase])
sys.exit(cli.main())
"""


class Held:
    """Processes of a run; `stopped` holds them all in a phase and sends one of them SIGTERM."""

    def __init__(self, run: Run, script: pathlib.Path, processes: int = 2):
        self._run, self._script, self._processes = run, script, processes
        script.write_text(HELD)

    def stopped(self, phase: str, process: int, finishes: bool) -> list[str]:
        """Returns what each said. finishes: the phase goes on once all have heard, and is not
        simply left."""
        folder = self._run.folder / f"{phase}-{time.monotonic_ns()}"
        folder.mkdir()
        command = [sys.executable, str(self._script), phase, str(folder), *self._run.train]
        if self._processes > 1:
            command += [f"--coordinator=127.0.0.1:{_two_free_ports()}"]
            command += [f"--processes={self._processes}"]
        logs, started = [folder / f"log-{i}" for i in range(self._processes)], []
        for i, log in enumerate(logs):
            place = [f"--process-id={i}"] if self._processes > 1 else []
            with open(log, "w") as file:
                environment = self._run.environment(1)
                started.append(subprocess.Popen([*command, *place], stderr=file, env=environment))

        def all_of(there) -> None:
            while not there():
                assert all(one.poll() is None for one in started), [x.read_text() for x in logs]
                time.sleep(0.01)

        try:
            all_of(lambda: len(list(folder.glob("held-*"))) == self._processes)
            begun = time.monotonic()
            started[process].send_signal(signal.SIGTERM)
            if finishes:
                all_of(lambda: all("saving and leaving" in log.read_text() for log in logs))
                (folder / "go").touch()
            codes = [one.wait(GRACE_SECONDS) for one in started]
        finally:
            for one in started:
                one.kill()
                one.wait()
        said = [log.read_text() for log in logs]
        print(f"\nSIGTERM while {phase}: all ended after {time.monotonic() - begun:.1f} s")
        assert codes == [0] * self._processes, said
        at = rf" at host {process} of {self._processes} \(.*\)" if self._processes > 1 else ""
        for text in said:
            assert re.search(rf"SIGTERM{at}", text), text
        return said

    def stopped_at_once(self, phase: str, process: int) -> None:
        """As where there is nothing to save: neither file nor row is touched."""
        before = contents(self._run.workdir)
        for text in self.stopped(phase, process, finishes=False):
            assert "nothing new to save" in text.splitlines()[-1], text
        assert contents(self._run.workdir) == before


def contents(workdir: pathlib.Path) -> dict[str, bytes]:
    """What stands in a run's directory, but for what every start writes anew."""
    files = [
        path for name in ("checkpoints", "predictions") for path in workdir.glob(f"{name}/**/*")
    ]
    kept = {str(p): p.read_bytes() for p in (*files, workdir / "metrics.jsonl") if p.is_file()}
    return {name: content for name, content in kept.items() if content}


def test_a_stop_in_any_phase_loses_nothing_and_the_same_command_goes_on(tmp_path):
    task = write_task(tmp_path)
    options = ["--host-timeout=60"]  # nobody is stopped here, but cores may be few
    options += ["--config.checkpoints.every_steps=50", "--config.model.dropout=0.1"]
    options += [
        f"--config.evaluation.tasks=('{task}',)",
        "--config.evaluation.judging.batch_size=4",
    ]
    undisturbed = Run(tmp_path / "undisturbed", *options)
    undisturbed.finished(2, 1)
    run = Run(tmp_path / "disturbed", *options)
    held = Held(run, tmp_path / "held.py")
    held.stopped_at_once("compiling", 1)
    assert run.rows() == []
    for phase, process, step in (("evaluating", 0, 4), ("judging", 1, 8)):
        assert all(
            f"saved step {step}; " in text for text in held.stopped(phase, process, True)[:1]
        )
        assert newest(run.workdir) == step
        held.stopped_at_once("restoring", process)
    held.stopped_at_once("compiling", 0)
    run.finished(2, 1)
    assert hashes(run.workdir, 12) == hashes(undisturbed.workdir, 12)
    assert results(run) == results(undisturbed)


def test_a_process_alone_leaves_a_compiler_that_cannot_be_stopped(tmp_path):
    run = Run(tmp_path / "run")
    held = Held(run, tmp_path / "held.py", processes=1)
    (said,) = held.stopped("compiling", 0, finishes=False)
    assert "SIGTERM before step 1: nothing new to save" in said
    assert run.rows() == []


def results(run: Run) -> dict:
    """What stands in every metrics row that no clock says."""
    found = {
        (row["split"], row["step"]): {
            k: v for k, v in row.items() if "second" not in k and "host" not in k
        }
        for row in run.rows()
    }
    assert len(found) == len(run.rows()), "no metric row twice"
    return found


def newest(workdir: pathlib.Path) -> int:
    return max(int(path.name) for path in (workdir / "checkpoints").iterdir())
