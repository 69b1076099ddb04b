"""How much of a GPU's memory a run takes."""

import os

# JAX takes 75 % by default. What is left is for CUDA itself and NCCL's buffers.
FRACTION = 0.92
_VARIABLE = "XLA_PYTHON_CLIENT_MEM_FRACTION"


def take_most() -> None:
    """Lets JAX take all that a run can use, unless the user has said how much; read once, when JAX
    looks for devices."""
    os.environ.setdefault(_VARIABLE, str(FRACTION))
