"""The supervisor over a pretended `train`: what it starts again, when it gives up, what it says."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from t2t.cli import main
from t2t.errors import UserError
from t2t.launch.local import Ending, Processes
from t2t.launch.supervisor import Patience, supervise, verdict, workdir_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
FAKE = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from t2t.launch.child import attend
from t2t.parallel.gang import tell_outcome
workdir = [a for a in sys.argv if a.startswith("--workdir=")][0].split("=")[1]
process = int(os.environ.get("T2T_PROCESS", 0))
tries = os.path.join(workdir, f"tries-{{process}}")
with open(tries, "a") as file:
    file.write("x")
attempt = os.path.getsize(tries)
def checkpoint(step):
    os.makedirs(os.path.join(workdir, "checkpoints", str(step)), exist_ok=True)
def end(kind, line, code):
    tell_outcome(kind, line)
    os._exit(code)
{body}
"""


STOPPED = "os.kill(os.getpid(), signal.SIGSTOP)"


@pytest.fixture
def run(tmp_path):
    """Returns a function: (body, processes, patience) -> (exit code, lines said)."""

    def supervised(body: str, processes: int = 1, **patience):
        said = []
        patience = {"first_wait": 0.01, "longest_wait": 0.04, "grace": 3.0, **patience}
        command = ["train", f"--workdir={tmp_path}", "--host-timeout=1"]
        code = supervise(
            command, processes, Patience(**patience), said.append, pretended(tmp_path, body)
        )
        return code, said

    return supervised


def pretended(folder, body: str) -> tuple[str, str]:
    """Returns the program that is run in the place of t2t."""
    script = folder / "train.py"
    script.write_text(FAKE.format(root=ROOT, body=body))
    return sys.executable, str(script)


def test_done_is_done(run):
    code, said = run("end('done', '', 0)", 2)
    assert code == 0 and "attempt 1: done" in said[-1]


def test_a_crash_is_started_again_and_waits_longer_each_time(run):
    code, said = run("end('crash', 'boom', 1) if attempt < 4 else end('done', '', 0)")
    assert code == 0
    assert [line for line in said if "attempt 2: crash" in line and "boom" in line]
    waits = [line.rsplit(" in ", 1)[1] for line in said if line.endswith(" s") and " in 0" in line]
    assert waits == ["0.01 s", "0.02 s", "0.04 s"]


def test_it_gives_up_where_there_is_no_progress(run):
    code, said = run("end('crash', 'boom', 1)", restarts=2)
    assert code == 1 and "gives up: 3 attempts" in said[-1]


def test_a_new_checkpoint_is_progress(run):
    code, said = run(
        "checkpoint(attempt); end('crash', 'boom', 1) if attempt < 5 else end('done', '', 0)",
        restarts=0,
    )
    assert code == 0 and "newest checkpoint: step 4" in " ".join(said)


def test_what_the_user_must_mend_is_not_tried_again(run):
    code, said = run("end('user', 'config.x: wrong', 2)", 2)
    assert code == 2 and "attempt 1: refused" in said[-1] and "config.x: wrong" in said[-1]


def test_a_kill_and_what_the_others_say_of_it(run):
    body = (
        "if attempt > 1: end('done', '', 0)\n"
        "if process == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "time.sleep(0.2); end('gone', 'host 1 of 2 is gone', 1)"
    )
    code, said = run(body, 2)
    crash = next(line for line in said if "attempt 1: crash" in line)
    assert code == 0
    assert "host 1 of 2 is gone; process 1 was killed by SIGKILL" in crash


def test_a_process_that_stays_is_killed_and_that_is_a_hang(run):
    body = (
        "if attempt > 1: end('done', '', 0)\n"
        "if process == 1: os.kill(os.getpid(), signal.SIGSTOP)\n"
        "time.sleep(0.2); end('hang', 'host 1 of 2 has given no sign of life', 1)"
    )
    code, said = run(body, 2, grace=0.5)
    assert code == 0
    hang = next(line for line in said if "attempt 1: hang" in line)
    assert "no sign of life; process 1 was killed by the supervisor, with SIGKILL" in hang
    assert any("process 1 did not leave in 0.5 s: killed" in line for line in said)


def test_a_process_alone_that_is_stopped_is_killed_and_that_is_a_hang(run):
    body = (
        "attend(1.0)\n"
        "if attempt > 1: end('done', '', 0)\n"
        "checkpoint(1); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    code, said = run(body, restarts=0)
    assert code == 0
    assert any("process 0 gave no sign of life for 1 s: killed" in line for line in said)
    (hang,) = [line for line in said if "attempt 1: hang" in line]
    assert "(stopped, or stuck) and was killed by the supervisor; the last" in hang


def test_a_process_alone_that_is_late_ends_itself_and_that_is_a_hang(run, capfd):
    body = (
        "if attempt > 1: end('done', '', 0)\n"
        "from t2t.training.faults import Watchdog\n"
        "dog = Watchdog(0.1); dog.phase('compiling', fatal=False); time.sleep(0.5)\n"
        "dog.phase('step 7'); time.sleep(60)"
    )
    code, said = run(body)
    assert code == 0
    (hang,) = [line for line in said if "attempt 1: hang" in line]
    assert "'step 7' has taken over 0.1 s (config.training.watchdog_seconds)" in hang
    assert "most recent call first" in capfd.readouterr().err


def test_what_has_told_that_it_is_done_is_done_however_long_its_end_takes(run):
    code, said = run("attend(1.0); tell_outcome('done'); os.kill(os.getpid(), signal.SIGSTOP)")
    assert code == 0 and "attempt 1: done" in said[-1]


def test_a_process_that_works_long_gives_signs_of_life(run):
    """Also where its main thread never comes to Python's own waiting, as while compiling."""
    code, said = run(
        "attend(1.0); end_at = time.monotonic() + 1.8\nwhile time.monotonic() < end_at: pass"
    )
    assert code == 0 and "attempt 1: done" in said[-1]


def test_who_was_stopped_itself_does_not_take_others_for_silent(tmp_path):
    command = ["train", f"--workdir={tmp_path}"]
    group = Processes(command, 1, pretended(tmp_path, "attend(1.0); time.sleep(60)"))
    try:
        while not (tmp_path / "tries-0").exists():
            time.sleep(0.02)
        group._looked -= 1000
        assert group.kill_silent(3.0) == []
        group._looked -= 1000
        assert group.kill_silent(3.0) == []
    finally:
        group.close()


def test_preemption_starts_again_at_once_and_does_not_count(run):
    body = "end('stopped', 'SIGTERM at host 1', 0) if attempt < 4 else end('done', '', 0)"
    code, said = run(body, restarts=0)
    assert code == 0
    assert sum("preemption" in line and "SIGTERM at host 1" in line for line in said) == 3


def test_a_supervisor_that_is_asked_to_stop_hands_it_on_and_does_not_start_again(run, tmp_path):
    body = (
        "signal.signal(signal.SIGTERM, lambda *_: end('stopped', 'SIGTERM', 0))\n"
        "checkpoint(1); time.sleep(60)"
    )

    def ask():
        while not (tmp_path / "checkpoints" / "1").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=ask).start()
    code, said = run(body)
    assert code == 75 and "attempt 1: preemption" in said[-1]


@pytest.mark.parametrize(
    "body", ["signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", STOPPED]
)
def test_what_does_not_leave_when_a_supervisor_is_asked_to_stop_is_killed(run, tmp_path, body):
    def ask():
        while not (tmp_path / "checkpoints" / "1").exists():
            time.sleep(0.02)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=ask).start()
    code, said = run(f"attend(1.0); checkpoint(1); {body}", stop=0.5)
    assert code == 1 and "killed by the supervisor, with SIGKILL" in said[-1]
    assert "process 0 did not leave in 0.5 s: killed" in said[-2]


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's end"
)
def test_a_supervisor_that_is_killed_leaves_no_process_behind(tmp_path):
    """The process is asked to stop, as by SIGTERM, so that it saves first."""
    saved, pid = tmp_path / "saved", tmp_path / "pid"
    body = (
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(saved)!r}, 'w'), os._exit(0)))\n"
        f"attend(1.0); open({str(pid)!r} + '.new', 'w').write(str(os.getpid()))\n"
        f"os.rename({str(pid)!r} + '.new', {str(pid)!r}); time.sleep(60)"
    )
    program = pretended(tmp_path, body)
    command = ["train", f"--workdir={tmp_path}"]
    supervisor = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "from t2t.launch.supervisor import Patience, supervise\n"
            f"supervise({command!r}, 1, Patience(), print, {program!r})",
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(pid.exists)
    finally:
        supervisor.kill()
        supervisor.wait()
    wait_for(saved.exists)
    wait_for(lambda: not os.path.exists(f"/proc/{pid.read_text()}/fd/0"))
    late = subprocess.run(
        [sys.executable, *program[1:], f"--workdir={tmp_path}"],
        env={**os.environ, "T2T_SUPERVISOR": str(supervisor.pid)},
        capture_output=True,
        text=True,
    )
    assert (
        f"Failure: the supervisor that started this process ({supervisor.pid}) is gone"
        in late.stderr
    )


def wait_for(there) -> None:
    deadline = time.monotonic() + 20
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_cause_is_what_the_process_itself_says():
    endings = [
        Ending(0, 1, "gone", "host 1 is gone"),
        Ending(1, -9, "killed", "process 1 was killed by SIGKILL"),
        Ending(2, 1, "crash", "host 2: boom"),
    ]
    assert verdict(endings) == ("crash", "host 2: boom; process 1 was killed by SIGKILL", 1)


def test_only_a_run_with_a_directory_can_be_supervised(capsys):
    assert workdir_of(["train", "--workdir", "a/"]) == "a"
    for command, said in ((["eval"], "not eval"), (["train", "--config=x"], "--workdir")):
        with pytest.raises(UserError, match=said):
            workdir_of(command)
    assert main(["supervise"]) == 2
    assert "after --" in capsys.readouterr().err
    assert main(["tasks", "--", "train"]) == 2
    assert "takes no command after --" in capsys.readouterr().err
