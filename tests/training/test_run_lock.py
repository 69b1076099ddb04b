"""Two trainers in one run directory: the second waits a while, then says whose it is."""

import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from t2t.cli import main
from t2t.errors import Failure, UserError
from t2t.parallel.gang import OUTCOME
from t2t.training import run_lock
from tests.tiny import write_text

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
# Holds the lock, and has a forked child that lives longer.
HOLDER = """
import os, pathlib, sys, time
from t2t.training import run_lock
folder = pathlib.Path(sys.argv[1])
with run_lock.held(str(folder)):
    child = os.fork()
    if child == 0:
        time.sleep(60)
    (folder / "new").write_text(str(child))
    (folder / "new").rename(folder / "child")
    time.sleep(60)
"""


def test_the_second_is_refused_and_told_who_the_first_is(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "WAIT_SECONDS", 0.3)
    said, folder = [], str(tmp_path / "run")
    with run_lock.held(folder, said.append):
        with (
            pytest.raises(
                UserError, match=rf"is being trained by process {os.getpid()} of .*stop it"
            ),
            run_lock.held(folder, said.append),
        ):
            pass
        assert len(said) == 1 and "waiting up to 0.3 s for its end" in said[0]
    with run_lock.held(folder, said.append):
        assert len(said) == 1, "given back"


def test_a_supervised_process_is_to_be_started_again(tmp_path, monkeypatch):
    """What a killed supervisor left behind may still save, for longer than one waits here."""
    monkeypatch.setattr(run_lock, "WAIT_SECONDS", 0.0)
    monkeypatch.setenv(OUTCOME, str(tmp_path / "outcome.json"))
    with (
        run_lock.held(str(tmp_path)),
        pytest.raises(Failure, match="is being trained by process"),
        run_lock.held(str(tmp_path)),
    ):
        pass


def test_kill_9_gives_it_back_though_a_forked_child_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "WAIT_SECONDS", 20.0)
    root = pathlib.Path(__file__).parent.parent.parent
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], cwd=root)
    try:
        while not (tmp_path / "child").exists():
            assert holder.poll() is None
            time.sleep(0.02)
    finally:
        holder.kill()
        holder.wait()
    child, said = int((tmp_path / "child").read_text()), []
    try:
        with run_lock.held(str(tmp_path), said.append):
            os.kill(child, 0)
            assert not said or f"process {holder.pid} of" in said[0]
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_file_system_without_locks_and_an_object_store_are_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_lock.held("memory://bucket/run"), run_lock.held("memory://bucket/run"):
        assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with run_lock.held(str(tmp_path / "file" / "run")):
        pass  # what cannot be written is said by who writes

    def unsupported(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with run_lock.held(str(tmp_path)), run_lock.held(str(tmp_path)):
        pass


def test_train_holds_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_lock, "WAIT_SECONDS", 0.0)
    command = ["train", f"--config={RECIPE}:{write_text(tmp_path)}", f"--workdir={tmp_path}/run"]
    with run_lock.held(f"{tmp_path}/run"):
        assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        f"t2t: --workdir={tmp_path}/run: is being trained by process {os.getpid()}"
    )
    assert not (tmp_path / "run" / "config.json").exists()
