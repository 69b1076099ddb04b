"""The versions that a result can depend on."""

import sys
from importlib import metadata


def versions() -> dict[str, str]:
    """Returns the versions of Python and of every library that a result can depend on."""
    names = (
        "t2t",
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "orbax-checkpoint",
        "grain",
        "numpy",
        "sentencepiece",
        "tensorstore",
    )
    found = {"python": sys.version.split()[0]}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
