"""The two ways a command ends badly, what others raise put as one of them, and the hints that lines end
with."""

import difflib
import sys
from collections.abc import Iterable


class UserError(Exception):
    """What the user gave is wrong (config, data file, argument): one line on stderr, exit code 2."""


class Failure(Exception):
    """Something failed that the user did not write (disk, network, device): one line, exit code 1."""

    code = 1


class Interrupted(Failure):
    """A supervised run was asked to stop before its end: all is saved, and whoever started it may
    start it again. Not exit code 0, which a scheduler takes for the end of the run."""

    code = 75  # EX_TEMPFAIL of sysexits.h


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Returns `" (did you mean 'x'?)"` for the candidate closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def install_extra(name: str) -> str:
    """Returns how to install an optional part of t2t; t2t is in no registry."""
    return f"install the extra: pip install -e '.[{name}]' in t2t's clone"


def explained(error: BaseException) -> tuple[str, int] | None:
    """Returns what to say of an error, in one line, and the exit code; None for a fault of t2t's own.

    The traceback of such a fault is what a report of it needs.
    """
    match error:
        case UserError():
            text, code = str(error), 2
        case Failure():
            text, code = str(error), error.code
        case OSError():
            text, code = f"{error.filename or 'system'}: {error.strerror or error}", 1
        case MemoryError():
            text, code = f"out of memory on this machine: {error}", 1
        case KeyboardInterrupt():
            text, code = "interrupted", 130
        case _ if is_device_error(error):
            text, code = _device_failure(str(error)), 1
        case _:
            return None
    return " ".join(text.split()), code


def is_device_error(error: BaseException) -> bool:
    """Whether the devices, or what connects them, raised an error."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(error, jax.errors.JaxRuntimeError)


def _device_failure(text: str) -> str:
    if "RESOURCE_EXHAUSTED" in text:
        return (
            "the device's memory is full; lower config.data.batch_size, raise "
            "config.training.accumulation or config.mesh.fsdp, or set config.model.remat=full: "
            f"{text[:200]}"
        )
    return f"the device failed: {text[:300]}"
