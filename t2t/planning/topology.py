"""Hardware by name (`v5p:4x4x8`, `h100:8`, `cpu:8`): how many devices, and what each can do.

Figures are of one jax device (a chip; one of two cores on tpu7x), in bytes and seconds. Usable
memory is what the TPU compiler states when a program does not fit; of a GPU what a run takes. Peaks of arithmetic stand in
t2t.monitoring.flops. Bandwidths: Google's "How to Scale Your Model" (tables of TPU specifications)
and NVIDIA's data sheets; `link` is one direction of one link, of which a ring over a torus axis
uses two; `network` is a device's share of what leaves its slice or host.
"""

import math
import re
from dataclasses import dataclass

from t2t.errors import UserError, nearest
from t2t.parallel.gpu_memory import FRACTION

GIB = 2**30


@dataclass(frozen=True)
class Generation:
    """A kind of device. dimensions: of its torus; 0: no torus, a number of devices."""

    name: str
    platform: str
    kind: str  # jax's device_kind
    dimensions: int
    memory: float  # usable bytes
    memory_bandwidth: float
    link: float
    network: float
    cores: int = 1  # jax devices a chip
    options: tuple[tuple[str, str], ...] = ()  # of the topology


GENERATIONS = {
    g.name: g
    for g in (
        Generation(
            *("v4", "tpu", "TPU v4", 3, 30.75 * GIB, 1.2e12, 4.5e10, 6.25e9),
            options=(("chip_config_name", "megacore"),),
        ),
        Generation("v5e", "tpu", "TPU v5e", 2, 15.75 * GIB, 8.1e11, 4.5e10, 3.125e9),
        Generation("v5p", "tpu", "TPU v5p", 3, 95.74 * GIB, 2.8e12, 9e10, 6.25e9),
        Generation("v6e", "tpu", "TPU v6e", 2, 31.25 * GIB, 1.6e12, 9e10, 1.25e10),
        Generation("tpu7x", "tpu", "TPU7x", 3, 94.75 * GIB, 3.69e12, 9e10, 6.25e9, cores=2),
        Generation(
            *("h100", "cuda", "NVIDIA H100 80GB HBM3", 0, 79 * GIB * FRACTION),
            *(3.35e12, 2.25e11, 5e10),
        ),
        Generation(
            *("h200", "cuda", "NVIDIA H200", 0, 140 * GIB * FRACTION, 4.8e12, 2.25e11, 5e10)
        ),
        # Simulated devices: what compiles and communicates, not what fits.
        Generation("cpu", "cpu", "cpu", 0, math.inf, math.inf, math.inf, math.inf),
    )
}
_HOST = {"v5e": (2, 2), "v6e": (2, 2)}  # chips of a host; all others 2x2x1
_ONE_CHIP = (1, 1)  # of these two there are machines with a single chip, too
_LONGEST = {"v5e": 16, "v6e": 16}  # a longer side aborts the compiler
GPUS_OF_A_HOST = 8


@dataclass(frozen=True)
class Topology:
    """Some slices of one generation, each of the same shape."""

    generation: Generation
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def devices(self) -> int:
        return math.prod(self.shape) * self.generation.cores * self.slices

    @property
    def one_chip(self) -> bool:
        """Whether it is of machines with a single chip."""
        return self.shape == _ONE_CHIP

    @property
    def name(self) -> str:
        text = f"{self.generation.name}:{'x'.join(map(str, self.shape))}"
        return text if self.slices == 1 else f"{self.slices} x {text}"


def parse(text: str, slices: int = 1) -> Topology:
    """Reads `GENERATION:AxB[xC]` or `GENERATION:N`. Raises: UserError naming what is wrong."""
    name, colon, sizes = text.partition(":")
    if name not in GENERATIONS:
        raise UserError(
            f"--topology={text}: no such device{nearest(name, GENERATIONS)}; "
            f"known: {', '.join(GENERATIONS)}"
        )
    generation = GENERATIONS[name]
    wanted = "x".join("ABC"[: generation.dimensions]) or "N"
    if not colon or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes):
        raise UserError(f"--topology={text}: write it as {name}:{wanted}")
    shape = tuple(int(size) for size in sizes.split("x"))
    if len(shape) != max(generation.dimensions, 1):
        raise UserError(
            f"--topology={text}: {name} is laid out as {name}:{wanted}, not in "
            f"{len(shape)} dimension{'s' if len(shape) > 1 else ''}"
        )
    if slices > 1 and generation.platform != "tpu":
        raise UserError(
            f"--slices={slices}: only TPUs come in slices; give all devices as {name}:N"
        )
    if generation.platform == "tpu":
        _check_torus(text, generation, shape)
    if generation.platform == "cuda" and shape[0] > GPUS_OF_A_HOST and shape[0] % GPUS_OF_A_HOST:
        raise UserError(
            f"--topology={text}: more than a host's {GPUS_OF_A_HOST} come in whole hosts"
        )
    return Topology(generation, shape, slices)


def _check_torus(text: str, generation: Generation, shape: tuple[int, ...]) -> None:
    host = _HOST.get(generation.name, (2, 2, 1))
    if any(s % chips for s, chips in zip(shape, host, strict=True)) and shape != _ONE_CHIP:
        raise UserError(
            f"--topology={text}: a host has {'x'.join(map(str, host))} chips, which must divide it"
            + (f"; or take {generation.name}:1x1" if len(shape) == len(_ONE_CHIP) else "")
        )
    longest = _LONGEST.get(generation.name)
    if longest and max(shape) > longest:
        raise UserError(
            f"--topology={text}: a {generation.name} slice is at most {longest}x{longest}; "
            "give several with --slices"
        )
