"""The lines of a text file, or of a part of one, and where in the file they stand."""

from collections.abc import Iterator

from t2t.data import files
from t2t.errors import UserError


class Lines:
    """Iterates over the decoded lines of a range of a file and knows where it is."""

    def __init__(self, path: str, begin: int = 0, end: int = -1):
        self.path, self.begin, self.end = path, begin, end
        self.count = 0  # lines read so far, within the range

    def __iter__(self) -> Iterator[str]:
        with files.open_bytes(self.path) as file:
            try:
                yield from self._decoded(file)
            except Exception as error:
                with files.reading(self.path, f" after line {self.line}"):
                    raise error

    def _decoded(self, file) -> Iterator[str]:
        position = self.begin
        if self.begin:
            # The line that reaches over `begin` belongs to the shard before.
            file.seek(self.begin - 1)
            position += len(file.readline()) - 1
        while self.end < 0 or position < self.end:
            line = file.readline()
            if not line:
                return
            self.count += 1
            if position == 0 and line.startswith(b"\xef\xbb\xbf"):
                line, position = line[3:], 3
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise self.error(
                    f"not UTF-8: byte 0x{line[error.start]:02x} at offset "
                    f"{position + error.start} of the {'unzipped ' * files.is_gzip(self.path)}file"
                ) from error
            position += len(line)
            yield text

    @property
    def line(self) -> int:
        """The number in the file, from 1, of the line read last."""
        if not self.begin:
            return self.count
        # Only errors ask, so the lines before this shard are counted only now.
        with files.open_bytes(self.path) as file:
            left, before = self.begin - 1, 0
            while left > 0 and (block := file.read(min(left, 1 << 20))):
                before += block.count(b"\n")
                left -= len(block)
            return before + 1 + self.count

    def error(self, message: str) -> UserError:
        return UserError(f"{self.path}:{self.line}: {message}")
