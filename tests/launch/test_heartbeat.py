"""The supervisor's heartbeat, and the probe of it as a kubelet runs it."""

import os
import subprocess
import sys
import threading
import time

import pytest

from t2t.launch import heartbeat
from t2t.launch.supervisor import Patience, supervise


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv(heartbeat.VARIABLE, str(tmp_path / "beat"))
    return tmp_path / "beat"


def alive(path, oldest: int) -> bool:
    return subprocess.run(heartbeat.probe(str(path), oldest), capture_output=True).returncode == 0


def test_the_probe_tells_a_fresh_file_from_an_old_one_and_from_none(file):
    assert not alive(file, 300)
    heartbeat.beat()
    assert alive(file, 300)
    os.utime(file, times=(0, time.time() - 310))
    assert not alive(file, 300)
    heartbeat.beat()
    assert alive(file, 300)


def test_without_a_name_there_is_no_file(tmp_path, monkeypatch):
    monkeypatch.delenv(heartbeat.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    heartbeat.beat()
    assert not list(tmp_path.iterdir())


def looked(file, until: threading.Event, times: list[int]) -> None:
    """Notes every new time of the file."""
    while not until.wait(0.01):
        if file.exists() and (now := file.stat().st_mtime_ns) not in times[-1:]:
            times.append(now)


@pytest.mark.parametrize(
    ("body", "wait"),
    [("time.sleep(0.5)", 0.01), ("sys.exit(1)", 0.5)],
    ids=["while processes run", "between attempts"],
)
def test_a_supervisor_beats(body, wait, file, tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS", 0.05)
    times, ended = [], threading.Event()
    watch = threading.Thread(target=looked, args=(file, ended, times))
    watch.start()
    try:
        code = supervise(
            ["train", f"--workdir={tmp_path}"],
            1,
            Patience(restarts=1, first_wait=wait, longest_wait=wait),
            lambda line: None,
            (sys.executable, "-S", "-c", f"import sys, time; {body}"),
        )
    finally:
        ended.set()
        watch.join()
    assert code == int("exit" in body)
    assert len(times) >= 5


def test_a_supervisor_that_hangs_does_not_beat(file, tmp_path, monkeypatch):
    """As where the run's folder does not answer: nothing beside its own loop touches the file."""
    monkeypatch.setattr(heartbeat, "SECONDS", 0.05)
    hung = []

    def say(line: str) -> None:
        if "attempt 1: done" in line:
            time.sleep(0.2)
            hung.append(file.stat().st_mtime_ns)
            time.sleep(0.3)
            hung.append(file.stat().st_mtime_ns)

    supervise(
        *(["train", f"--workdir={tmp_path}"], 1, Patience(), say),
        (sys.executable, "-S", "-c", "pass"),
    )
    assert hung[0] == hung[1]
