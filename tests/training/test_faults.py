import io
import os
import signal
import time

from t2t.training.faults import StopRequest, Watchdog


def test_sigterm_is_noted_not_obeyed_at_once_and_handlers_are_put_back(capfd):
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest().listening() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop and stop.reason == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before
    assert "saving" in capfd.readouterr().err


def test_the_watchdog_names_the_phase_and_dumps_stacks(tmp_path):
    with open(tmp_path / "log", "w+") as log:
        dog = Watchdog(0.2, log)
        dog.phase("step 7")
        time.sleep(0.6)
        dog.close()
        log.seek(0)
        text = log.read()
    assert "'step 7' has taken over 0.2 s" in text and "Thread" in text


def test_a_watchdog_of_zero_seconds_watches_nothing():
    log = io.StringIO()
    dog = Watchdog(0, log)
    dog.close()
    assert log.getvalue() == ""


class _Told:
    """Hosts that only listen."""

    def __init__(self):
        self.phases, self.ended = [], []

    def phase(self, name):
        self.phases.append(name)

    def late(self, phase, seconds):
        self.ended.append((phase, seconds))


def test_of_several_hosts_a_step_that_takes_too_long_ends_all_and_compiling_does_not():
    hosts = _Told()
    with open(os.devnull, "w") as log, Watchdog(0.2, log, hosts) as dog:
        dog.phase("compiling", fatal=False)
        time.sleep(0.5)
        assert hosts.ended == []
        dog.phase("step 7")
        time.sleep(0.5)
    assert hosts.phases == ["compiling", "step 7"]
    assert hosts.ended and set(hosts.ended) == {("step 7", 0.2)}


def test_what_compiles_in_the_middle_of_a_step_is_no_hang():
    hosts = _Told()
    with open(os.devnull, "w") as log, Watchdog(0.2, log, hosts) as dog:
        dog.phase("step 7")
        with dog.during("step 7: compiling", fatal=False):
            time.sleep(0.5)
        assert hosts.ended == []
        with dog.during("any", limited=False):
            time.sleep(0.3)
        assert hosts.ended == [] and dog.last == "step 7"
        time.sleep(0.5)
    assert hosts.ended and set(hosts.ended) == {("step 7", 0.2)}
