"""Shows how far a preparation is: a bar on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Iterable

from t2t.data.pairs import Pairs
from t2t.data.sources import Shard

_LINE_SECONDS = 10.0


def text_bytes(shards: Iterable[Shard]) -> int | None:
    """About how many bytes of text `shards` hold, at no cost; None where only reading would tell.

    Plain local files are their size; gzip files end with their unzipped size (modulo 4 GiB, RFC
    1952); docstrings are bounded. Of pairs nobody knows.
    """
    total = 0
    for shard in shards:
        if isinstance(shard.source, Pairs):
            return None
        if shard.members:
            total += shard.end
            continue
        try:
            size = os.stat(os.path.expanduser(shard.path)).st_size
        except OSError:
            return None
        if shard.path.endswith(".gz"):
            with open(os.path.expanduser(shard.path), "rb") as file:
                file.seek(-4, os.SEEK_END) if size >= 4 else None
                total += int.from_bytes(file.read(4), "little")
        elif shard.begin == 0 and shard.end == -1:
            total += size
        elif shard.format or shard.end < 0:
            return None
        else:
            total += min(shard.end, size) - shard.begin
    return total


class Display:
    """`show(documents, tokens, text_bytes)` takes absolute counts, as often as one likes."""

    def __init__(self, enabled: bool, total_bytes: int | None, initial_bytes: int = 0):
        self._began = self._last_line = time.monotonic()
        self._initial, self._total = initial_bytes, total_bytes
        self._enabled, self._bar = enabled, None
        if enabled and sys.stderr.isatty():
            import tqdm

            self._bar = tqdm.tqdm(
                desc="prepare",
                total=total_bytes,
                initial=initial_bytes,
                unit="B",
                unit_scale=True,
                dynamic_ncols=True,
            )

    def show(self, documents: int, tokens: int, text_bytes: int) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(
                f"{documents:,} documents, {tokens / 1e6:,.1f} M tokens", refresh=False
            )
            self._bar.update(text_bytes - self._bar.n)
        elif self._enabled and time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            print(self._line(documents, tokens, text_bytes), file=sys.stderr, flush=True)

    def _line(self, documents: int, tokens: int, text_bytes: int) -> str:
        speed = (text_bytes - self._initial) / (time.monotonic() - self._began)
        line = (
            f"prepare: {documents:,} documents, {tokens / 1e6:,.1f} M tokens, "
            f"{text_bytes / 1e6:,.0f} MB of text at {speed / 1e6:.1f} MB/s"
        )
        if self._total is not None and speed > 0 and text_bytes < self._total:
            line += f", about {(self._total - text_bytes) / speed:,.0f} s left"
        return line

    def close(self, summary: str | None = None) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._enabled and summary is not None:
            seconds = time.monotonic() - self._began
            print(f"prepare: {summary} in {seconds:.1f} s", file=sys.stderr, flush=True)
