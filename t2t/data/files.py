"""Opening, listing and identifying text files, local or on an object store, gzipped or plain.

Everything goes through fsspec where a path is a URL; the store's own package (`s3fs`, `gcsfs`) is
an extra and is asked for in one line when it is absent.
"""

import contextlib
import glob
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from t2t.errors import Failure, UserError, install_extra, nearest

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class File:
    """One file of a source. `version` is what changes when its content does: the modification time
    in nanoseconds of a local file, the ETag (or what the store has in its place) of an object."""

    path: str
    size: int
    version: str


def is_remote(path: str) -> bool:
    return "://" in path


def _filesystem(url: str):
    """The fsspec filesystem and the path inside it."""
    import fsspec

    scheme = url.split("://", 1)[0]
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        fix = install_extra(extra) if extra else str(error)
        raise UserError(
            f"{url}: reading {scheme}:// needs a package that is absent; {fix}"
        ) from error
    except ValueError as error:
        raise UserError(f"{url}: no such kind of storage; {error}") from error


@contextlib.contextmanager
def errors_at(path: str) -> Iterator[None]:
    """Turns what a file system or store raises into one line that names `path`."""
    try:
        yield
    except (UserError, Failure):
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file{_nearest_sibling(path)}") from error
    except IsADirectoryError as error:
        raise UserError(
            f"{path}: is a folder; name its files, as in {path.rstrip('/')}/*"
        ) from error
    except PermissionError as error:
        raise UserError(f"{path}: permission denied") from error
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {_one_line(error)}") from error
    except Exception as error:
        if not is_remote(path):
            raise
        # Stores raise their clients' own classes (botocore, google.auth, aiohttp).
        raise Failure(f"{path}: cannot be read: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _nearest_sibling(path: str) -> str:
    """A hint naming the nearest file in the same folder, or the first folder that is not there."""
    if is_remote(path):
        try:
            filesystem, inner = _filesystem(path)
            entries = filesystem.ls(inner.rsplit("/", 1)[0], detail=False)
        except Exception:  # a hint only: the missing file is the error
            return ""
        return nearest(path.rsplit("/", 1)[-1], [entry.rsplit("/", 1)[-1] for entry in entries])
    folder, name = os.path.split(path)
    try:
        return nearest(name, os.listdir(folder or "."))
    except OSError:
        while folder and not os.path.isdir(os.path.dirname(folder) or "."):
            folder = os.path.dirname(folder)
        return f"; there is no folder {folder!r}" + _nearest_sibling(folder) if folder else ""


def stat(path: str) -> File:
    """Size and version of one file."""
    with errors_at(path):
        if is_remote(path):
            filesystem, inner = _filesystem(path)
            return _remote_file(path, filesystem.info(inner))
        path = os.path.expanduser(path)
        if os.path.isdir(path):
            raise IsADirectoryError
        status = os.stat(path)
        return File(path, status.st_size, str(status.st_mtime_ns))


def _remote_file(url: str, info: dict) -> File:
    if info["type"] != "file":
        raise IsADirectoryError
    for key in ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "updated"):
        if info.get(key) is not None:
            return File(url, info["size"], str(info[key]))
    return File(url, info["size"], "")


def expand(paths: tuple[str, ...]) -> list[File]:
    """The files that `paths` (files and globs) name: in the order given, each glob sorted.

    Raises UserError for a missing file, a glob without a match, a file named twice.
    """
    files = [file for path in paths for file in _expand_one(path)]
    seen = set()
    for file in files:
        if file.path in seen:
            raise UserError(
                f"{file.path}: named twice by {', '.join(paths)}; each file is read once"
            )
        seen.add(file.path)
    return files


def _expand_one(path: str) -> list[File]:
    if not _GLOB & set(path) or (not is_remote(path) and os.path.exists(path)):
        return [stat(path)]
    with errors_at(path):
        if is_remote(path):
            filesystem, inner = _filesystem(path)
            found = filesystem.glob(inner, detail=True)
            files = [
                _remote_file(filesystem.unstrip_protocol(name), info)
                for name, info in sorted(found.items())
                if info["type"] == "file"
            ]
        else:
            pattern = os.path.expanduser(path)
            names = sorted(glob.glob(pattern, recursive=True))
            files = [stat(name) for name in names if os.path.isfile(name)]
    if not files:
        raise UserError(f"{path}: no file matches{_glob_hint(path)}")
    return files


def _glob_hint(path: str) -> str:
    """Where the glob stops matching: the folder that is absent, or what the folder holds instead."""
    if is_remote(path):
        return ""
    folder = os.path.dirname(path)
    if _GLOB & set(folder):
        return ""
    folder = os.path.expanduser(folder) or "."
    if not os.path.isdir(folder):
        return f"; there is no folder {folder!r}{_nearest_sibling(folder)}"
    hint = nearest(os.path.basename(path), os.listdir(folder))
    return hint or f" in {folder!r} ({len(os.listdir(folder))} entries)"


def is_gzip(path: str) -> bool:
    return path.endswith(".gz")


@contextlib.contextmanager
def open_bytes(path: str) -> Iterator[BinaryIO]:
    """Opens a file for reading bytes, decompressed when its name ends in `.gz`; seekable if plain."""
    with contextlib.ExitStack() as stack:
        with errors_at(path):
            if is_remote(path):
                filesystem, inner = _filesystem(path)
                raw = stack.enter_context(filesystem.open(inner, "rb"))
            else:
                raw = stack.enter_context(open(os.path.expanduser(path), "rb"))
        if is_gzip(path):
            # GzipFile reads 8 kB at a time by itself; a megabyte costs object stores fewer calls.
            unzipped = gzip.GzipFile(fileobj=raw, mode="rb")
            raw = stack.enter_context(io.BufferedReader(unzipped, 1 << 20))
        yield raw


def read_bytes(path: str) -> bytes:
    """The whole content of a file."""
    with open_bytes(path) as file, reading(path):
        return file.read()


def listing(folder: str) -> list[str]:
    """The names in a folder as it is now, sorted; none where there is no such folder."""
    with errors_at(folder):
        if is_remote(folder):
            filesystem, inner = _filesystem(folder)
            filesystem.invalidate_cache()
            try:
                entries = filesystem.ls(inner, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            names = {entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries}
            return sorted(names - {inner.rstrip("/").rsplit("/", 1)[-1]})
        folder = os.path.expanduser(folder)
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def download(url: str, local: str) -> None:
    """Copies an object to a local file."""
    with errors_at(url):
        filesystem, inner = _filesystem(url)
        filesystem.get_file(inner, local)


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file that appears whole or not at all, making its folder. Raises Failure."""
    try:
        if is_remote(path):
            filesystem, inner = _filesystem(path)
            filesystem.pipe_file(inner, content)
            return
        path = os.path.expanduser(path)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        partial = f"{path}.{os.getpid()}.partial"
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            with contextlib.suppress(OSError):
                os.remove(partial)
    except UserError:
        raise
    except Exception as error:
        if not (is_remote(path) or isinstance(error, OSError)):
            raise
        raise Failure(f"{path}: cannot be written: {_one_line(error)}") from error


def check_place(path: str, asked: str) -> None:
    """Makes the folder of a file to be; asked: the option that names it, in front of what is wrong.

    Raises UserError where there can be no such file.
    """
    if is_remote(path):
        raise UserError(f"{asked}={path}: must be on a disk of this machine; copy it afterwards")
    if os.path.isdir(path) or path.endswith(os.sep):
        raise UserError(f"{asked}={path}: is a folder; name a file in it")
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"{asked}={path}: {folder}: {error.strerror}; name another") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{asked}={path}: {folder} cannot be written; name another")


@contextlib.contextmanager
def reading(path: str, place: str = "") -> Iterator[None]:
    """Guards reads from an opened file: a damaged gzip stream is the user's file, so a UserError."""
    try:
        with errors_at(path):
            yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, place, error) from error
    except Failure as error:
        if isinstance(error.__cause__, gzip.BadGzipFile):
            raise _damaged(path, place, error.__cause__) from error
        raise


def _damaged(path: str, place: str, error: BaseException) -> UserError:
    return UserError(
        f"{path}{place}: damaged or truncated gzip data ({_one_line(error)}); fetch the file again"
    )
