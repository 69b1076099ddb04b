"""The first process's end of the line: it hears every process and tells all what concerns all.

A star of TCP connections, JSON objects, one a line. JAX's coordination service does not do: it ends
processes by SIGABRT naming tasks, not machines, takes its heartbeat to notice, and a Python
exception in one process leaves the others waiting for it (measured: until its shutdown timeout).
A closed connection is noticed within a millisecond.
"""

import collections
import contextlib
import json
import selectors
import socket
import threading
import time
import traceback
from typing import Any

LONGEST_LINE = 1 << 24  # bytes; what is longer is no message of ours
_FIELDS = {  # of the messages that a process sends
    "hello": {"process": int, "processes": int, "name": str},
    "beat": {"phase": str},
    "meet": {"name": str},
    "agree": {"name": str, "facts": dict},
    "tell": {"values": dict},
    "stop": {"reason": str},
    "at": {"point": int},
    "fail": {"line": str, "kind": str, "code": int},
}
_SEND_SECONDS = 5.0  # to put a message into a connection: its other end has stopped reading
_DRAIN_SECONDS = 3.0  # for the others to leave after a failure, before the first process does


class Peer:
    """A connection: its messages as they come in, and what is known of who sends them."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.connection.settimeout(_SEND_SECONDS)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard = time.monotonic()
        self.process: int | None = None
        self.name = ""
        self.phase, self.since = "start", self.heard
        self._buffer = b""
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Sends a message; one that cannot go out is dropped: the end of the line will be noticed."""
        with self._lock, contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Returns the messages that are there; None where the other end is gone."""
        try:
            data = self.connection.recv(1 << 16)
        except TimeoutError:
            return []
        except OSError:
            return None
        if not data or len(self._buffer) + len(data) > LONGEST_LINE:
            return None
        self.heard = time.monotonic()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError:
            return None
        sound = all(isinstance(m, dict) and isinstance(m.get("is"), str) for m in messages)
        return messages if sound else None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.close()


def listen(address: tuple[str, int]) -> socket.socket:
    """Returns a socket listening at a port: on loopback where the address is, else everywhere."""
    host, port = address
    if host in ("localhost", "::1") or host.startswith("127."):
        return socket.create_server((host, port), backlog=1024)
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True
        )
    return socket.create_server(("", port), backlog=1024)


class Hub:
    """Listens at `address` for `processes` processes, from a thread of its own.

    start_seconds: how long all of them may take to call. silent_seconds: how long one may give no
    sign of life.
    Raises: OSError where the port cannot be had.
    """

    def __init__(
        self,
        address: tuple[str, int],
        processes: int,
        start_seconds: float,
        silent_seconds: float,
    ):
        self._processes, self._silent = processes, silent_seconds
        self._start_seconds = start_seconds
        self._deadline = time.monotonic() + start_seconds
        self._beat = min(1.0, silent_seconds / 5)
        self._server = listen(address)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._peers: dict[int, Peer] = {}
        self._strangers: set[Peer] = set()
        self._complete = self._over = False
        self._meetings: dict[str, set[int]] = collections.defaultdict(set)
        self._values: dict[str, Any] = {}
        self._facts: dict[str, dict[int, dict]] = collections.defaultdict(dict)
        self._stopping = False
        self._points: dict[int, int] = {}
        self.latest: dict[int, dict[str, float]] = {}  # what each process told last
        self.drained = threading.Event()  # set when the other processes have left
        self._thread = threading.Thread(target=self._run, name="t2t-hub", daemon=True)
        self._thread.start()

    def name(self, process: int) -> str:
        """Returns how a process is named in messages."""
        peer = self._peers.get(process)
        return f"host {process} of {self._processes}" + (f" ({peer.name})" if peer else "")

    def wait_drained(self) -> None:
        """Waits until the other processes have left, but not for ever."""
        self.drained.wait(_DRAIN_SECONDS)

    # ------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # a fault of ours: nobody shall wait for a hub that is no more
            traceback.print_exc()
            self._fail(0, f"{self.name(0)}: the line between the hosts failed: {error!r}", "crash")
            self.drained.set()

    def _serve(self) -> None:
        next_beat = 0.0
        while not (self._over and self.drained.is_set()):
            for key, _ in self._selector.select(self._beat / 2):
                if key.fileobj is self._server:
                    self._accept()
                else:
                    self._read(key.data)
            now = time.monotonic()
            if now >= next_beat:
                self._tell_all({"is": "beat"})
                next_beat = now + self._beat
            if not self._over:
                self._look_for_silence(now)
        self._server.close()
        self._selector.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:
            return
        peer = Peer(connection)
        self._strangers.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _read(self, peer: Peer) -> None:
        messages = peer.receive()
        for message in messages or ():
            handle = getattr(self, f"_on_{message['is']}", None)
            known = peer.process is not None or message["is"] == "hello"
            fields = _FIELDS.get(message["is"], {})
            if not (handle and known) or any(
                not isinstance(message.get(name), kind) for name, kind in fields.items()
            ):
                self._drop(peer)  # whoever that is, it is none of ours
                return
            handle(peer, message)
        if messages is None:
            self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(peer.connection)
        peer.close()
        self._strangers.discard(peer)
        if peer.process is None or self._peers.get(peer.process) is not peer:
            return
        name = self.name(peer.process)
        if self._complete or self._over:
            del self._peers[peer.process]
        if not self._over and self._complete:
            self._fail(
                peer.process, f"{name} is gone: its process ended without a word in {peer.phase!r}"
            )
        elif not self._over:
            del self._peers[peer.process]  # it may be started again while the others are awaited
        self._note_drained()

    def _note_drained(self) -> None:
        if self._over and not any(process for process in self._peers):
            self.drained.set()

    def _look_for_silence(self, now: float) -> None:
        if not self._complete and now > self._deadline:
            missing = [i for i in range(self._processes) if i not in self._peers]
            there = ", ".join(f"{i} ({p.name})" for i, p in sorted(self._peers.items()))
            self._fail(
                missing[0],
                f"host{'s' if len(missing) > 1 else ''} {_some(missing)} of {self._processes} did "
                f"not start within {self._start_seconds:g} s; those that did: {there}; start the "
                "same command on every host (--start-timeout gives them longer)",
                kind="missing",
            )
        for peer in [p for p in self._strangers if now - p.heard > self._silent]:
            self._drop(peer)
        for process, peer in list(self._peers.items()):
            if now - peer.heard > self._silent:
                self._fail(
                    process,
                    f"{self.name(process)} has given no sign of life for {self._silent:g} s "
                    f"(stopped, or cut off), last in {peer.phase!r}",
                    kind="hang",
                )
                return

    def _tell_all(self, message: dict[str, Any]) -> None:
        for peer in list(self._peers.values()):
            peer.send(message)

    def _fail(self, process: int, line: str, kind: str = "gone", code: int = 1) -> None:
        if self._over:
            return
        self._over = True
        self._tell_all({"is": "fail", "line": line, "kind": kind, "code": code, "process": process})
        self._note_drained()

    # -------------------------------------------------------------------------------- messages

    def _on_hello(self, peer: Peer, message: dict) -> None:
        process, name = message["process"], message["name"]
        refused = None
        if message["processes"] != self._processes:
            refused = (
                f"host {process} ({name}) was told of {message['processes']} hosts, and host 0 of "
                f"{self._processes}; give all the same number"
            )
        elif not 0 <= process < self._processes:
            refused = f"{name} says that it is host {process} of {self._processes}"
        elif process in self._peers:
            refused = (
                f"host {process} of {self._processes} is already here ({self._peers[process].name}), "
                f"and {name} says that it is that one too; give each host its own number"
            )
        elif self._over:
            refused = "the other hosts are just leaving; try again"
        if refused:
            code = 1 if self._over else 2
            peer.send(
                {"is": "fail", "line": refused, "kind": "user", "code": code, "process": process}
            )
            self._drop(peer)
            return
        peer.process, peer.name = process, name
        self._strangers.discard(peer)
        self._peers[process] = peer
        if len(self._peers) == self._processes:
            self._complete = True
            self._tell_all({"is": "complete"})

    def _on_beat(self, peer: Peer, message: dict) -> None:
        peer.phase = message["phase"]

    def _on_meet(self, peer: Peer, message: dict) -> None:
        name = message["name"]
        self._meetings[name].add(peer.process)
        if peer.process == 0:
            self._values[name] = message.get("value")
        if len(self._meetings[name]) == self._processes:
            del self._meetings[name]
            self._tell_all({"is": "met", "name": name, "value": self._values.pop(name)})

    def _on_agree(self, peer: Peer, message: dict) -> None:
        name = message["name"]
        self._facts[name][peer.process] = message["facts"]
        if len(self._facts[name]) < self._processes:
            return
        facts = self._facts.pop(name)
        differing = self._differing(facts)
        if differing:
            self._fail(differing[0][0], self._verdict(differing), kind="differs", code=2)
        else:
            self._tell_all({"is": "met", "name": name, "value": None})

    def _differing(self, facts: dict[int, dict]) -> list[tuple[int, str, str, str]]:
        """Returns (process, key, its value, what most have) for each value unlike the others."""
        found = []
        for key in sorted({key for values in facts.values() for key in values}):
            values = {i: facts[i].get(key, "nothing") for i in range(self._processes)}
            counts = collections.Counter(values.values())
            # Where as many say one thing as another, host 0 is right.
            common = max(counts, key=lambda v, c=counts, v0=values[0]: (c[v], v == v0))
            found += [(i, key, v, common) for i, v in values.items() if v != common]
        return found

    def _verdict(self, differing: list[tuple[int, str, str, str]]) -> str:
        process = differing[0][0]
        own = [entry for entry in differing if entry[0] == process]
        shown = "; ".join(
            f"{key} is {v} there and {other} on the others" for _, key, v, other in own[:4]
        )
        more = f"; and {len(own) - 4} more" if len(own) > 4 else ""
        others = sorted({entry[0] for entry in differing} - {process})
        also = f"; so do hosts {_some(others)}" if others else ""
        return f"{self.name(process)} differs from the others: {shown}{more}{also}"

    def _on_tell(self, peer: Peer, message: dict) -> None:
        self.latest[peer.process] = message["values"]

    def _on_stop(self, peer: Peer, message: dict) -> None:
        if self._stopping or self._over:
            return
        self._stopping = True
        self._tell_all(
            {"is": "stop", "reason": f"{message['reason']} at {self.name(peer.process)}"}
        )
        if not self._complete:  # nobody has begun
            self._over = True
            self._tell_all({"is": "until", "point": 1})
            self._note_drained()

    def _on_at(self, peer: Peer, message: dict) -> None:
        self._points[peer.process] = message["point"]
        if len(self._points) == self._processes:
            until = max(self._points.values()) + 1
            self._over = self._over or until == 1  # all leave at once, in any order
            self._tell_all({"is": "until", "point": until})
            self._note_drained()

    def _on_fail(self, peer: Peer, message: dict) -> None:
        line = f"{self.name(peer.process)}: {message['line']}"
        if message["kind"] == "hang":
            line += f"; hosts are in: {self._where()}"
        self._fail(peer.process, line, message["kind"], message["code"])

    def _on_bye(self, peer: Peer, message: dict) -> None:
        self._over = True  # the first to leave at the end of a run: all have agreed to
        self._drop(peer)

    def _where(self) -> str:
        """Returns in which phases the processes are."""
        phases = collections.defaultdict(list)
        for process, peer in sorted(self._peers.items()):
            phases[peer.phase].append(process)
        return "; ".join(f"{phase!r}: {_some(who)}" for phase, who in phases.items())


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown} and {len(numbers) - 8} more"
