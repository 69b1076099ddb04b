"""Programs run one ahead of what is read of them, so that devices need not wait for the host."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import jax

T = TypeVar("T")


def one_ahead(started: Iterable[tuple[T, Any]]) -> Iterator[tuple[T, Any]]:
    """Yields each (what it is of, values on the devices) with its values on the host, when the next
    one has been started. Never more than one is in flight ahead of the one being read."""
    pending = None
    for one in started:
        if pending is not None:
            yield pending[0], jax.device_get(pending[1])
        pending = one
    if pending is not None:
        yield pending[0], jax.device_get(pending[1])
