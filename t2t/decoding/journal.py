"""A file of results made piece by piece: killed and started again, no piece is made twice."""

import json
import os
from collections.abc import Sequence

from t2t.errors import UserError


class Journal:
    """Results by index beside the file to be: `PATH.partial`, a line each, in any order.

    settings: what the results depend on; those of other settings are refused with a UserError, and
    so is a damaged line.
    """

    def __init__(self, path: str, settings: dict):
        self.path, self._partial = path, f"{path}.partial"
        self.done: dict[int, dict] = {}
        settings = json.loads(json.dumps(settings))
        whole = 0
        if os.path.exists(self._partial):
            with open(self._partial, "rb") as file:
                lines = file.read().splitlines(keepends=True)
            lines = [line for line in lines if line.endswith(b"\n")]  # the last may be torn
            whole = sum(map(len, lines))
            found = [self._read(line, number) for number, line in enumerate(lines, 1)]
            if not found[1:]:
                whole = 0  # nothing was made yet, whatever it was to be
            elif found[0] != settings:
                raise UserError(
                    f"{self._partial}: was begun with another input, checkpoint or settings; "
                    "remove it, or give the same ones"
                )
            self.done.update((row["index"], row) for row in found[1:])
        self._file = open(self._partial, "ab")  # noqa: SIM115 (closed by finish)
        self._file.truncate(whole)
        if not whole:
            self._write([settings])

    def add(self, rows: Sequence[dict]) -> None:
        """Keeps rows, each with its `index`; after this they survive a kill."""
        self._write(rows)
        self.done.update((row["index"], row) for row in rows)

    def finish(self) -> None:
        """Writes the file, all rows in order of their indices, and removes the journal."""
        self._file.close()
        new = f"{self.path}.new"
        with open(new, "w", encoding="utf-8") as file:
            for _, row in sorted(self.done.items()):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)
        os.remove(self._partial)

    def _read(self, line: bytes, number: int) -> dict:
        try:
            row = json.loads(line)
            if isinstance(row, dict) and (number == 1 or isinstance(row["index"], int)):
                return row
        except (ValueError, KeyError):
            pass
        cure = "remove the line, and its input is done again" if number > 1 else "remove the file"
        raise UserError(f"{self._partial}:{number}: is damaged, not what was written; {cure}")

    def _write(self, rows: Sequence[dict]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._file.write(text.encode())
        self._file.flush()
