"""A training process's side of its supervisor: it gives signs of life, and ends where that is gone."""

import atexit
import ctypes
import faulthandler
import os
import signal
import sys
import threading

from t2t.errors import Failure
from t2t.launch import heartbeat

SUPERVISOR = "T2T_SUPERVISOR"  # its process id, for the processes that it starts
_BEAT_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def attend(silent_seconds: float) -> None:
    """Does what a supervisor expects of this process, where one has started it.

    A thread touches the heartbeat's file: it grows old where the process is stopped, or stuck in C
    with Python's lock held; of the latter every thread's stack is dumped, before the supervisor kills
    it after `silent_seconds`. What the main thread does too long is its watchdog's to say. And on
    Linux the process is asked to stop (SIGTERM: it saves) when the supervisor ends, however it ends.
    Raises: Failure where the supervisor is gone already.
    """
    supervisor = os.environ.get(SUPERVISOR, "")
    if not supervisor.isdecimal():
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != int(supervisor):
            raise Failure(f"the supervisor that started this process ({supervisor}) is gone")
    heartbeat.beat()
    beats = threading.Thread(
        target=_beat, args=(0.75 * silent_seconds,), name="t2t-heartbeat", daemon=True
    )
    beats.start()


def _beat(dump_seconds: float) -> None:
    ending = threading.Event()  # Python ends, which the device's runtime may take its time for
    atexit.register(ending.set)
    while True:
        # By a thread of C, which needs no lock of Python's; put off by every beat.
        faulthandler.dump_traceback_later(dump_seconds)
        if ending.wait(_BEAT_SECONDS):
            faulthandler.cancel_dump_traceback_later()
            return
        try:
            heartbeat.beat()
        except OSError:  # the supervisor is gone, and its files with it
            return
