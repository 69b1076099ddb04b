"""A run of one process that hangs in a step, or is stopped: noticed, started again, the same at its end."""

import sys

import pytest

from t2t.launch.supervisor import Patience, supervise
from tests.training.test_kill import hashes
from tests.training.test_several_hosts import Run

pytestmark = pytest.mark.slow

# In t2t's place: the tenth step of the first attempt never ends.
HANGING = """
import os, pathlib, signal, sys, time
fault, marker = sys.argv[1], pathlib.Path(sys.argv[2])
del sys.argv[1:3]
from t2t import cli
from t2t.training.compilation import CompiledSteps
train, calls = CompiledSteps.train, []
def hanging(self, state, batch):
    calls.append(1)
    if len(calls) == 10 and not marker.exists():
        marker.touch()
        if fault == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            time.sleep(600)
    return train(self, state, batch)
CompiledSteps.train = hanging
sys.exit(cli.main())
"""
FAULTS = {
    "stopped": "process 0 gave no sign of life for 8 s (stopped, or stuck) and was killed",
    "asleep": "'step 10' has taken over 10 s (config.training.watchdog_seconds)",
}


def supervised(tmp_path, fault: str) -> tuple[Run, list[str]]:
    run = Run(tmp_path / fault, "--host-timeout=8", "--config.training.watchdog_seconds=10")
    script, marker, said = tmp_path / "hanging.py", tmp_path / f"{fault}.once", []
    script.write_text(HANGING)
    if fault == "none":
        marker.touch()
    program = (sys.executable, str(script), fault, str(marker))
    assert supervise(run.train, 1, Patience(restarts=0), said.append, program) == 0, said
    return run, said


def test_a_hang_is_noticed_and_the_run_ends_where_an_undisturbed_one_does(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    undisturbed, said = supervised(tmp_path, "none")
    assert "attempt 1: done" in said[-1]
    for fault, line in FAULTS.items():
        run, said = supervised(tmp_path, fault)
        (hang,) = [text for text in said if "attempt 1: hang" in text]
        assert line in hang and "newest checkpoint: step " in hang
        assert "attempt 2: done" in said[-1]
        assert hashes(run.workdir, 12) == hashes(undisturbed.workdir, 12)
        assert run.losses() == undisturbed.losses()
