"""kill -9, then on with another number of processes: the batches, and the losses, of an undisturbed run."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from t2t.launch.local import _two_free_ports
from tests.training.test_several_hosts import Run, assert_close

pytestmark = pytest.mark.slow

STEPS = 32
# In t2t's place: what this process's devices train on is noted, by step, before it is trained on.
RECORDING = """
import json, os, sys
record = open(sys.argv.pop(1) + f"/{os.getpid()}", "w", buffering=1)
from t2t import cli
from t2t.training.compilation import CompiledSteps
train = CompiledSteps.train
def recording(self, state, batch):
    step = int(state["step"].addressable_shards[0].data) + 1
    for shard in batch["sample"].addressable_shards:
        rows = [int(i) for i in shard.data]
        print(json.dumps([step, shard.index[0].start or 0, rows]), file=record)
    return train(self, state, batch)
CompiledSteps.train = recording
sys.exit(cli.main())
"""


class Recorded(Run):
    """Runs whose batches are recorded, a folder for each attempt."""

    def attempt(self, processes: int, kill_at: int | None = None) -> dict[int, list[int]]:
        """Trains; kill_at: a step in whose row's sight the last process is killed.

        Returns the sample ids of each step, in the order of the batch's rows.
        """
        script = self.folder / "recording.py"
        script.write_text(RECORDING)
        records = self.folder / f"records-{time.monotonic_ns()}"
        records.mkdir()
        place = [f"--coordinator=127.0.0.1:{_two_free_ports()}", f"--processes={processes}"]
        started = []
        for i in range(processes):
            options = [*place, f"--process-id={i}"] if processes > 1 else []
            command = [sys.executable, str(script), str(records), *self.train, *options]
            log = open(self.folder / f"log-{i}", "w")  # noqa: SIM115
            started.append(subprocess.Popen(command, stderr=log, env=self.environment(1)))
        try:
            if kill_at is not None:
                while not any(row["step"] >= kill_at for row in self.rows()):
                    assert started[-1].poll() is None, self.said()
                    time.sleep(0.005)
                os.kill(started[-1].pid, signal.SIGKILL)
            codes = [process.wait(600) for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()
        killed = [1] * (processes - 1) + [-signal.SIGKILL]
        assert codes == ([0] * processes if kill_at is None else killed), self.said()
        return steps_in(records)

    def said(self) -> list[str]:
        return [path.read_text() for path in sorted(self.folder.glob("log-*"))]


def steps_in(records: pathlib.Path) -> dict[int, list[int]]:
    parts: dict[int, dict[int, list[int]]] = {}
    for path in records.iterdir():
        for line in path.read_text().split("\n")[:-1]:
            step, first, rows = json.loads(line)
            parts.setdefault(step, {})[first] = rows
    return {
        step: [sample for first in sorted(found) for sample in found[first]]
        for step, found in parts.items()
    }


def test_another_number_of_processes_after_each_kill_sees_the_same_batches(tmp_path):
    options = [f"--config.training.steps={STEPS}", "--config.evaluation.every_steps=16"]
    options += ["--config.model.dropout=0.1", "--host-timeout=60"]
    undisturbed = Recorded(tmp_path / "undisturbed", *options)
    wanted = undisturbed.attempt(1)
    assert sorted(wanted) == list(range(1, STEPS + 1))
    assert len({sample for rows in wanted.values() for sample in rows}) == 8 * STEPS
    run, latest = Recorded(tmp_path / "killed", *options), {}
    for processes, kill_at in ((2, 9), (1, 18), (2, None)):
        found = run.attempt(processes, kill_at)
        assert not latest or 1 < min(found) <= max(latest) + 1, "it goes on, from a checkpoint"
        for step, rows in found.items():
            # What one process was killed in has not told of all of its rows.
            if kill_at is None or step < max(found):
                assert rows == wanted[step], step
        latest |= found
    assert sorted(latest) == sorted(wanted)
    assert_close(run.losses(), undisturbed.losses())
