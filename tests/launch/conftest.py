"""Commands that pretend to be a cloud's or a cluster's."""

import pathlib
import shutil

import pytest


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Returns a function: (command, script) puts a command before the real one; its calls are kept."""
    folder = tmp_path / "bin"
    folder.mkdir()
    # Only these and the plainest tools: nothing that could reach a real cloud or cluster is found.
    for tool in [
        "cat",
        "date",
        "grep",
        "head",
        "ln",
        "mkdir",
        "mktemp",
        "rm",
        "sed",
        "sleep",
        "touch",
    ]:
        (folder / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(folder))

    def put(command: str, body: str) -> pathlib.Path:
        calls = tmp_path / f"{command}.calls"
        file = folder / command
        file.unlink(missing_ok=True)
        file.write_text(f'#!/bin/bash\necho "$@" >> {calls}\n{body}\n')
        file.chmod(0o755)
        return calls

    return put
