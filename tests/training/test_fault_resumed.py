"""A Python exception in one of several processes: the supervisors resume, and the end is bit for bit
that of a run that nothing befell."""

import re
import sys

import pytest

from t2t.launch.supervisor import Patience, supervise
from tests.training.test_kill import hashes
from tests.training.test_several_hosts import Run

pytestmark = pytest.mark.slow

# A fault of t2t's own in the second process at its seventh step, once: a file remembers it.
FAULT = """
import os, pathlib, sys
from t2t import cli
from t2t.training.compilation import CompiledSteps
train, calls, happened = CompiledSteps.train, [], pathlib.Path({happened!r})
def broken(self, state, batch):
    calls.append(1)
    if os.environ["T2T_PROCESS"] == "1" and len(calls) == 7 and not happened.exists():
        happened.touch()
        raise RuntimeError("boom")
    return train(self, state, batch)
CompiledSteps.train = broken
sys.exit(cli.main())
"""


def test_an_exception_in_one_of_two_is_resumed_to_the_same_end(tmp_path, monkeypatch):
    options = ["--config.model.dropout=0.1"]
    undisturbed, run = (Run(tmp_path / name, *options) for name in ("undisturbed", "disturbed"))
    undisturbed.finished(2, 1)
    script = tmp_path / "fault.py"
    script.write_text(FAULT.format(happened=str(tmp_path / "happened")))
    for name, value in run.environment(1).items():
        monkeypatch.setenv(name, value)
    said = []
    patience = Patience(first_wait=0.1)
    code = supervise(run.train, 2, patience, said.append, (sys.executable, str(script)))
    assert code == 0 and (tmp_path / "happened").exists(), said
    (crash,) = [line for line in said if re.search(r"attempt \d: crash", line)]
    assert re.search(r"attempt 1: crash .*host 1 of 2 \(.*\): failed in 'step 7'.*: boom", crash)
    assert "newest checkpoint: step 4" in crash and "attempt 2: done" in said[-1]
    assert hashes(run.workdir, 12) == hashes(undisturbed.workdir, 12)
    assert run.losses() == undisturbed.losses()
