"""The line between hosts, on threads: who is named, when, and where all stop."""

import contextlib
import json
import re
import socket
import threading
import time

import pytest

from t2t.errors import Failure
from t2t.launch.local import _two_free_ports
from t2t.parallel.hosts import Place
from t2t.parallel.line import Line

START, SILENT = 20.0, 20.0


class Hosts:
    """Lines of `count` processes, all in this one; `ends` says how each ended."""

    def __init__(self, count: int, start: float = START, silent: float = SILENT, absent=()):
        self.port, self.ends, self.lines = _two_free_ports(), {}, {}
        self.changed = threading.Condition()
        self.begun = time.monotonic()
        self.threads = []
        for process in set(range(count)) - set(absent):
            place = Place(process, count, f"127.0.0.1:{self.port}", "a test")
            line = Line(place, start, silent, lambda *end, p=process: self._ended(p, end))
            self.lines[process] = line
            self.threads.append(threading.Thread(target=self._join, args=(line,), daemon=True))
        for thread in self.threads:
            thread.start()

    def _join(self, line):
        with contextlib.suppress(Failure):  # of a line that has ended
            line.join()

    def joined(self):
        for thread in self.threads:
            thread.join()
        return self

    def _ended(self, process, end):
        with self.changed:
            self.ends[process] = (*end, time.monotonic())
            self.changed.notify_all()

    def wait_ended(self, processes, seconds=10.0) -> tuple[str, str, int]:
        """Waits until these have ended, all in the same way; returns (line, kind, code)."""
        processes = set(processes)
        with self.changed:
            assert self.changed.wait_for(lambda: processes <= set(self.ends), seconds), self.ends
        found = {self.ends[p][:3] for p in processes}
        assert len(found) == 1, found
        return found.pop()


def wait_heard(hosts: Hosts, seconds=30.0) -> None:
    """Waits for a beat of each host with the phase it is in, however busy the machine."""
    end = time.monotonic() + seconds
    while "'start'" in hosts.lines[0].hub._where() and time.monotonic() < end:
        time.sleep(0.05)


def on_all(hosts: Hosts, call) -> dict[int, object]:
    """Calls call(line) for every host at once; returns the results."""
    results = {}
    threads = [
        threading.Thread(target=lambda p=p, line=line: results.update({p: call(line)}), daemon=True)
        for p, line in hosts.lines.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return results


def test_all_meet_and_bring_home_what_the_first_one_brought():
    hosts = Hosts(3).joined()
    for turn in (1, 2):
        found = on_all(hosts, lambda line, t=turn: line.meet("here", f"{line._place.process} {t}"))
        assert found == dict.fromkeys(range(3), f"0 {turn}")
    on_all(hosts, lambda line: line.leave())
    assert hosts.ends == {}


def test_what_differs_is_named_and_so_is_whose_it_is():
    hosts = Hosts(4).joined()
    facts = {"config.training.seed": "3", "version of jax": "1"}
    other = facts | {"config.training.seed": "4"}
    with contextlib.suppress(Failure):
        on_all(hosts, lambda line: _agree(line, other if line._place.process == 2 else facts))
    line, kind, code = hosts.wait_ended(range(4))
    assert (kind, code) == ("differs", 2)
    assert line.startswith("host 2 of 4 (")
    assert line.endswith(
        "differs from the others: config.training.seed is 4 there and 3 on the others"
    )


def _agree(line, facts):
    with contextlib.suppress(Failure):
        line.agree("configuration", facts)


def test_those_who_agree_go_on():
    hosts = Hosts(2).joined()
    assert on_all(hosts, lambda line: line.agree("configuration", {"a": "1"})) == {0: None, 1: None}
    assert hosts.ends == {}


@pytest.mark.parametrize("gone", [1, 0])
def test_a_connection_that_closes_ends_all_at_once(gone):
    hosts = Hosts(3).joined()
    for line in hosts.lines.values():
        line.phase = "step 7"
    wait_heard(hosts)
    begun = time.monotonic()
    if gone == 0:  # the whole process, hub and all
        hub = hosts.lines[0].hub
        hub._over = True
        for peer in list(hub._peers.values()):
            peer.connection.shutdown(socket.SHUT_RDWR)
    else:
        hosts.lines[gone]._peer.connection.shutdown(socket.SHUT_RDWR)
    others = {0, 1, 2} - {gone}
    line, kind, code = hosts.wait_ended(others)
    assert (kind, code) == ("gone", 1)
    assert line.startswith(f"host {gone} of 3 (") and "is gone" in line
    assert gone == 0 or line.endswith("in 'step 7'")
    if gone != 0:
        assert hosts.ends[2][3] - begun < 1.0


def test_one_that_is_silent_is_named():
    hosts = Hosts(3, silent=1.5, absent=(1,))
    silent = socket.create_connection(("127.0.0.1", hosts.port))
    hello = {"is": "hello", "process": 1, "processes": 3, "name": "machine-b, pid 7"}
    silent.sendall((json.dumps(hello) + "\n" + '{"is": "beat", "phase": "step 3"}\n').encode())
    hosts.joined()
    begun = time.monotonic()
    line, kind, code = hosts.wait_ended((0, 2))
    assert (kind, code) == ("hang", 1)
    assert line == (
        "host 1 of 3 (machine-b, pid 7) has given no sign of life for 1.5 s (stopped, or cut off), "
        "last in 'step 3'"
    )
    assert time.monotonic() - begun < 1.5 + 4
    silent.close()


def test_one_that_never_starts_is_named_in_time():
    hosts = Hosts(4, start=1.5, absent=(1, 3))
    line, kind, code = hosts.wait_ended((0, 2))
    assert (kind, code) == ("missing", 1)
    assert line.startswith("hosts 1, 3 of 4 did not start within 1.5 s; those that did: 0 (")
    assert time.monotonic() - hosts.begun < 1.5 + 4


def test_without_a_first_host_the_others_say_where_they_called():
    place = Place(1, 2, f"127.0.0.1:{_two_free_ports()}", "a test")
    with pytest.raises(Failure, match=r"host 0 of 2 did not answer at 127.0.0.1:\d+ for 0.5 s"):
        Line(place, 0.5, SILENT, lambda *end: None).join()


@pytest.mark.parametrize(
    ("process", "processes", "said"),
    [
        (1, 3, r"host 1 \(me\) was told of 3 hosts, and host 0 of 2"),
        (0, 2, r"host 0 of 2 is already here \(.*\), and me says"),
        (7, 2, r"me says that it is host 7 of 2"),
    ],
)
def test_one_that_does_not_belong_is_refused(process, processes, said):
    hosts = Hosts(2, absent=(1,))
    while 0 not in hosts.lines[0].hub._peers:
        time.sleep(0.01)
    with socket.create_connection(("127.0.0.1", hosts.port)) as me:
        hello = {"is": "hello", "process": process, "processes": processes, "name": "me"}
        me.settimeout(10)
        me.sendall((json.dumps(hello) + "\n").encode())
        answers = [json.loads(line) for line in me.makefile()]
    refused = [answer for answer in answers if answer["is"] == "fail"]
    assert re.search(said, refused[0]["line"]), refused
    assert refused[0]["code"] == 2


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"is": "hello"}\n',
        b'{"is": "hello", "process": "1", "processes": 2, "name": "x"}\n',
        b'{"is": "fail", "line": "x", "kind": "crash", "code": 1}\n',
        b'{"is": ["hello"]}\n',
        b"[1]\n",
    ],
)
def test_what_is_no_message_of_ours_is_dropped(said):
    hosts = Hosts(2).joined()
    with socket.create_connection(("127.0.0.1", hosts.port)) as stranger:
        stranger.settimeout(10)
        stranger.sendall(said)
        assert stranger.recv(100) == b""
    assert on_all(hosts, lambda line: line.meet("here", 5)) == {0: 5, 1: 5}


def test_a_failure_is_told_to_all_with_its_exit_code():
    hosts = Hosts(3).joined()
    threading.Thread(target=hosts.lines[1].fail, args=("no such file", "user", 2)).start()
    line, kind, code = hosts.wait_ended(range(3))
    assert line.startswith("host 1 of 3 (") and line.endswith("): no such file")
    assert (kind, code) == ("user", 2)


def test_a_device_error_waits_for_the_host_that_brought_it_about():
    hosts = Hosts(3).joined()
    fail = threading.Thread(
        target=hosts.lines[2].fail, args=("closed by peer", "crash", 1), kwargs={"doubtful": True}
    )
    fail.start()
    time.sleep(0.3)
    hosts.lines[1]._peer.connection.shutdown(socket.SHUT_RDWR)
    line, kind, _ = hosts.wait_ended((0, 2))
    assert line.startswith("host 1 of 3 (") and kind == "gone"


def test_a_hang_says_where_everyone_is():
    hosts = Hosts(2).joined()
    hosts.lines[0].phase, hosts.lines[1].phase = "step 8", "step 8: waiting for data"
    wait_heard(hosts)
    threading.Thread(target=hosts.lines[0].fail, args=("too long", "hang", 1)).start()
    line, *_ = hosts.wait_ended((0, 1))
    assert line.endswith("too long; hosts are in: 'step 8': 0; 'step 8: waiting for data': 1")


@pytest.mark.parametrize("asked", [0, 2])
def test_all_stop_at_the_same_place(asked):
    hosts = Hosts(3).joined()

    def run(line) -> int:
        for step in range(10_000):
            if line.passed():
                return step
            if step == 20 and line._place.process == asked:
                line.request_stop("SIGTERM")
            time.sleep(0.002 * (line._place.process + 1))  # they are not in step
        return -1

    found = on_all(hosts, run)
    assert len(set(found.values())) == 1 and found[0] > 20, found
    assert hosts.lines[1].stop_reason.startswith(f"SIGTERM at host {asked} of 3 (")
    assert hosts.lines[1].passed(), "and it stays so"
    assert hosts.ends == {}


def test_before_anything_is_begun_a_request_ends_all_at_once_and_well():
    hosts = Hosts(2).joined()
    hosts.lines[1].request_stop("SIGTERM")
    line, kind, code = hosts.wait_ended((0, 1))
    assert (kind, code) == ("stop", 0)
    assert line.endswith("before the first step: nothing new to save")


def test_a_port_in_use_is_said():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Failure, match=f"port {port} of 127.0.0.1:{port} cannot be listened at"):
            Line(Place(0, 2, f"127.0.0.1:{port}", ""), 1, 1, lambda *end: None)
