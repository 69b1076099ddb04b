"""Folders that TensorStore reads and writes: local, `gs://` or `s3://`; their errors, one's lock."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from t2t.errors import Failure, UserError


def kvstore(path: str) -> dict[str, Any]:
    """TensorStore's spec of the folder `path`: local, `gs://bucket/...` or `s3://bucket/...`.

    `AWS_ENDPOINT_URL` points `s3://` at another S3 server, as it does for botocore.
    """
    if "://" not in path:
        return {"driver": "file", "path": os.path.abspath(os.path.expanduser(path)) + "/"}
    scheme, rest = path.split("://", 1)
    bucket, _, inner = rest.partition("/")
    inner = inner.strip("/") + "/" if inner.strip("/") else ""
    if scheme == "gs":
        return {"driver": "gcs", "bucket": bucket, "path": inner}
    if scheme == "s3":
        spec = {"driver": "s3", "bucket": bucket, "path": inner}
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            spec["endpoint"] = endpoint
            spec["aws_region"] = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
        return spec
    raise UserError(f"{path}: token stores live in a local folder, on gs:// or on s3://")


def is_local(path: str) -> bool:
    return "://" not in path


def open_kvstore(path: str):
    """The folder `path` as a TensorStore key-value store; every write of a key is atomic."""
    import tensorstore as ts

    with storage_errors(path):
        return ts.KvStore.open(kvstore(path)).result()


@contextlib.contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turns what TensorStore or the disk raises inside into one line naming `path`."""
    try:
        yield
    except (UserError, Failure):
        raise
    except (OSError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if "No space left" in text or "quota exceeded" in text.lower():
            raise Failure(
                f"{path}: the disk is full; free some space and run the same command again "
                "(finished parts are kept)"
            ) from error
        if "ermission denied" in text or "PERMISSION_DENIED" in text:
            raise UserError(f"{path}: permission denied") from error
        raise Failure(f"{path}: cannot be read or written: {text[:300]}") from error


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Lets one process at a time prepare the folder `path`; others wait. A lock dies with its process.

    Object stores have no locks: there two processes would write the same bytes twice.
    """
    if not is_local(path):
        yield
        return
    import fcntl

    root = os.path.expanduser(path)
    with storage_errors(path):
        os.makedirs(root, exist_ok=True)
        file = open(os.path.join(root, ".lock"), "w")  # noqa: SIM115 (closed below)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"prepare: another process is preparing {path}; waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
