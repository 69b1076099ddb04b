"""Several processes over loopback: the same losses as one, on any number of them, and every fault."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from t2t.launch.local import _two_free_ports
from tests.tiny import write_text
from tests.training.test_kill import hashes

pytestmark = pytest.mark.slow

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
T2T = [sys.executable, "-m", "t2t.cli"]
OPTIONS = ["--start-timeout=120", "--host-timeout=6"]
# A fault of t2t's own, in one process: the script is run in its place.
BROKEN = """
import sys
from t2t import cli
from t2t.training.compilation import CompiledSteps
train, calls = CompiledSteps.train, []
def broken(self, state, batch):
    calls.append(1)
    if len(calls) == 3:
        raise RuntimeError("boom")
    return train(self, state, batch)
CompiledSteps.train = broken
sys.exit(cli.main())
"""


class Run:
    """`t2t train` of the tiny run in a folder of its own."""

    def __init__(self, folder: pathlib.Path, *options: str):
        folder.mkdir(exist_ok=True)
        write_text(folder)
        self.folder, self.workdir = folder, folder / "run"
        self.train = ["train", f"--config={RECIPE}:{folder / 'text.txt'}"]
        self.train += [f"--workdir={self.workdir}", *OPTIONS, *options]

    def environment(self, devices: int) -> dict[str, str]:
        flags = f"--xla_force_host_platform_device_count={devices}"
        return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}

    def supervised(self, processes: int, devices: int, *more: str) -> subprocess.Popen:
        self.log = self.folder / f"log-{time.monotonic_ns()}"
        command = [*T2T, "supervise", f"--processes={processes}", "--longest-wait=1", "--"]
        with open(self.log, "w") as log:
            return subprocess.Popen(
                [*command, *self.train, *more], stderr=log, env=self.environment(devices)
            )

    def finished(self, processes: int, devices: int, *more: str) -> str:
        code = self.supervised(processes, devices, *more).wait(900)
        assert code == 0, self.log.read_text()
        return self.log.read_text()

    def rows(self) -> list[dict]:
        try:
            text = (self.workdir / "metrics.jsonl").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def losses(self) -> dict:
        rows = self.rows()
        found = {(row["split"], row["step"]): row["loss"] for row in rows}
        assert len(found) == len(rows), "no metric row twice"
        return found

    def gang(self, processes: int, *commands: list[str]) -> list[tuple[int, str, float]]:
        """Starts a process for each command, which are the first of `processes`; returns (code,
        stderr, seconds) of each."""
        port = _two_free_ports()
        begun = time.monotonic()
        started = [
            subprocess.Popen(
                [*command, f"--coordinator=127.0.0.1:{port}", f"--processes={processes}"],
                stderr=subprocess.PIPE,
                text=True,
                env=self.environment(1),
            )
            for command in commands
        ]
        said = [process.communicate(timeout=600)[1] for process in started]
        seconds = time.monotonic() - begun
        return [
            (process.returncode, text, seconds) for process, text in zip(started, said, strict=True)
        ]


def assert_close(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for key, loss in wanted.items():
        np.testing.assert_allclose(found[key], loss, rtol=1e-4, err_msg=str(key))


def test_two_and_four_processes_train_as_one_does_and_read_each_others_checkpoints(tmp_path):
    alone = Run(tmp_path / "alone")
    alone.finished(1, 1)
    wanted = alone.losses()
    assert wanted["train", 12] < wanted["train", 1] - 1, "something is learnt in between"
    two = Run(tmp_path / "two")
    said = two.finished(
        2, 2, "--config.evaluation.examples=1", "--config.evaluation.input_blind=true"
    )
    assert_close(two.losses(), wanted)
    assert "blanks of eval/held_out filled in by the model" in said
    assert "goodput" in said
    late = [row for row in two.rows() if row["split"] == "train" and row["step"] > 3]
    assert all(row["slowest_host"] in (0, 1) for row in late), "each has told of itself by then"
    assert all(row["median_host_seconds"] <= row["slowest_host_seconds"] for row in late)
    changing = Run(tmp_path / "changing")
    for processes, devices, steps in ((4, 1, 3), (2, 1, 6), (1, 1, 9), (4, 1, 12)):
        said = changing.finished(processes, devices, f"--config.training.steps={steps}")
        assert processes == 1 or f"host {processes - 1} of {processes}" in said
        assert steps == 3 or f"resumed from step {steps - 3} of" in said
    found = changing.losses()
    assert_close({key: found[key] for key in wanted}, wanted)


@pytest.mark.parametrize("processes", [2, 4])
def test_kills_hangs_and_preemptions_end_where_an_undisturbed_run_does(tmp_path, processes):
    options = ["--config.training.steps=48", "--config.checkpoints.every_steps=4"]
    options += ["--config.evaluation.every_steps=16", "--config.model.dropout=0.1"]
    silent = {2: 6, 4: 12}[processes]  # the more share two cores, the longer each is not heard of
    options.append(f"--host-timeout={silent}")
    undisturbed = Run(tmp_path / "undisturbed", *options)
    undisturbed.finished(processes, 1)
    run = Run(tmp_path / "disturbed", *options)
    supervisor = run.supervised(processes, 1)
    one = processes - 1
    names = rf"host {one} of {processes} \(.*\)", rf"host 0 of {processes} \(.*\)"
    faults = (
        (signal.SIGKILL, one, 5, rf"crash.*{names[0]} is gone"),
        (signal.SIGKILL, 0, 13, rf"crash.*host 0 of {processes} \(the coordinator.*\) is gone"),
        (signal.SIGSTOP, one, 21, rf"hang.*{names[0]} has given no sign of life for {silent} s"),
        (signal.SIGSTOP, 0, 29, rf"hang.*{names[1]} has given no sign of life for {silent} s"),
        (signal.SIGTERM, one, 37, rf"preemption.*SIGTERM at host {one} of {processes}"),
    )
    try:
        for attempt, (number, process, step, said) in enumerate(faults, 1):
            pid = _wait(supervisor, lambda a=attempt: _pids(run.log, a))[process]
            _wait(supervisor, lambda s=step: any(r["step"] >= s for r in run.rows()))
            begun = time.monotonic()
            os.kill(pid, number)
            line = _wait(supervisor, lambda a=attempt: _ending(run.log, a))
            took = time.monotonic() - begun
            print(f"\n{number.name} to process {process}: all ended after {took:.1f} s: {line}")
            assert re.search(said, line), line
            # A stopped process leaves only by being killed: the supervisor's grace of 20 s.
            most = {signal.SIGKILL: 10, signal.SIGSTOP: silent + 20 + 15, signal.SIGTERM: 30}
            assert took < most[number]
        assert supervisor.wait(600) == 0, run.log.read_text()
    finally:
        supervisor.terminate()
        supervisor.wait()
    assert hashes(run.workdir, 48) == hashes(undisturbed.workdir, 48)
    assert run.losses() == undisturbed.losses()


def _wait(supervisor: subprocess.Popen, there):
    while not (found := there()):
        assert supervisor.poll() is None, "it has ended"
        time.sleep(0.01)
    return found


def _pids(log: pathlib.Path, attempt: int) -> list[int] | None:
    found = re.search(rf"attempt {attempt}: started (.*)", log.read_text())
    return [int(pid) for pid in re.findall(r"pid (\d+)", found[1])] if found else None


def _ending(log: pathlib.Path, attempt: int) -> str | None:
    found = re.search(rf"attempt {attempt}: ((?!started).*)\n", log.read_text())
    return found[1] if found else None


@pytest.mark.parametrize("processes", [2, 4])
def test_an_exception_in_one_ends_all_and_names_it(tmp_path, processes):
    run, one = Run(tmp_path / "run"), processes - 1
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    ends = run.gang(
        processes,
        *([*T2T, *run.train, f"--process-id={i}"] for i in range(one)),
        [sys.executable, str(script), *run.train, f"--process-id={one}"],
    )
    assert [code for code, *_ in ends] == [1] * processes
    for _, said, _ in ends:
        assert re.search(
            rf"t2t: host {one} of {processes} \(.*\): failed in 'step 3': RuntimeError: boom\n$",
            said,
        ), said
    assert ["Traceback" in said for _, said, _ in ends] == [False] * one + [True]


@pytest.mark.parametrize("processes", [2, 4])
def test_another_configuration_on_one_host_is_found_before_anything_is_written(tmp_path, processes):
    run, one = Run(tmp_path / "run"), processes - 1
    ends = run.gang(
        processes,
        *([*T2T, *run.train, f"--process-id={i}"] for i in range(one)),
        [*T2T, *run.train, f"--process-id={one}", "--config.training.seed=4"],
    )
    assert [code for code, *_ in ends] == [2] * processes
    for _, said, seconds in ends:
        assert re.search(
            rf"t2t: host {one} of {processes} \(.*\) differs from the others: config.training.seed "
            r"is 4 there and 3 on the others\n$",
            said,
        ), said
        print(f"\nanother configuration: all ended {seconds:.1f} s after the start")
    assert not (run.workdir / "config.json").exists()


@pytest.mark.parametrize("processes", [2, 4])
def test_a_host_that_never_starts_is_named_in_time(tmp_path, processes):
    seconds = {2: 3, 4: 15}[processes]  # those that do start share two cores
    run = Run(tmp_path / "run", f"--start-timeout={seconds}")
    there = range(processes - 1)
    ends = run.gang(processes, *([*T2T, *run.train, f"--process-id={i}"] for i in there))
    for code, said, took in ends:
        assert code == 1 and took < seconds + 30
        assert (
            f"host {processes - 1} of {processes} did not start within {seconds} s; those that did: "
            "0 ("
        ) in said
