"""Keeping the memory that a step on the CPU frees, so that the next step finds it in place."""

import ctypes
import importlib.util
import os
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def only_cpus() -> bool:
    """Whether jax will compute on the CPU: it is told to, or no plugin for anything else is there."""
    told = os.environ.get("JAX_PLATFORMS", "")
    if told:
        return told == "cpu"
    return not any(importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))


def keep_freed_memory() -> bool:
    """Tells glibc not to hand large blocks back to the system; returns whether it was told.

    XLA's CPU client allocates a step's temporaries anew every step. By default each such block is
    mapped and unmapped, and every page of it faulted in and zeroed again: for T5 v1.1 small, a
    million faults and 2 of 13 CPU seconds a step, and elementwise passes at a fifth of their speed.
    Blocks must come from the one arena that can grow, so this comes before jax starts its threads.
    Where there is no glibc nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1))  # -1: never
    return all([mallopt(option, value) == 1 for option, value in settings])
