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
