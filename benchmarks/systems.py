"""Systems under comparison, a process each: they take turns, and each one's memory is its own."""

import json
import os
import subprocess
import sys
from collections.abc import Generator


class System:
    """One system's process: `python -m MODULE ARGUMENTS --serve=NAME`, which calls `serve`."""

    def __init__(self, name: str, module: str, arguments: list[str]):
        self.name = name
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        command = [sys.executable, "-m", module, *arguments, f"--serve={name}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.facts = self._read()

    def ask(self, request: dict | None = None) -> dict:
        """Sends a request, waits, and returns what was measured."""
        self._process.stdin.write(json.dumps(request or {}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(
                f"{self.name}: ended with {self._process.wait()}; its message is above"
            )
        return json.loads(line)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def serve(system: Generator[dict, dict, None]) -> None:
    """Runs a system in its process: its first facts, then those of every request it is sent."""
    out, sys.stdout = sys.stdout, sys.stderr
    facts = next(system)
    while True:
        print(json.dumps(facts), file=out, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        facts = system.send(json.loads(line))
