"""Trying meshes and remat for a topology: cheap estimates order what is then really compiled."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from t2t.errors import UserError
from t2t.monitoring import flops
from t2t.objectives.implementations import implementation
from t2t.planning.topology import Topology
from t2t.training.optimizer_config import Adafactor

_TENSOR = (1, 2, 4, 8, 16)
_REMAT = ("none", "dots", "full")
_SURELY = 1.25  # a guess of memory is rarely that much too high


class Guess(NamedTuple):
    """By rule of thumb: bytes of a device's memory, and seconds a row."""

    memory: float
    seconds: float


def search(
    run, wanted: Topology, batches: tuple[int, ...], tries: int, plan: Callable[[object], dict]
) -> list[tuple[object, dict]]:
    """Compiles the `tries` most promising candidates; returns (run, report), the best that fit first.

    plan(run) -> report. Candidates that the compiler refuses for their mesh are left out.
    Raises: UserError where no mesh suits the model at all.
    """
    guesses = [(one, guess(one, wanted)) for one in candidates(run, wanted, batches)]
    if not guesses:
        raise UserError(
            f"--search: no mesh of {wanted.devices} devices divides the model and a batch of "
            f"{', '.join(map(str, batches))} rows; try another batch size by --batches"
        )
    found = []
    for candidate in promising(guesses, wanted, tries):
        try:
            found.append((candidate, plan(candidate)))
        except UserError:
            continue

    def rank(pair):
        row, report = pair
        seconds = report["roofline"]
        size = row.data.batch_size
        if not report["fits"]:
            return (1, report.get("peak_bytes") or math.inf, 0.0)
        return (0, seconds["best"] / size, seconds["worst"] / size) if seconds else (0, 0.0, 0.0)

    return sorted(found, key=rank)


def promising(guesses: list[tuple[object, Guess]], wanted: Topology, tries: int) -> list:
    """Returns the candidates to compile: the fastest of those that may fit, then those that surely do
    not; the last is the one that needs the least memory, so that what fits at all is found."""
    most = _SURELY * wanted.generation.memory
    ordered = sorted(
        guesses, key=lambda pair: (pair[1].memory > most, pair[1].seconds, pair[1].memory)
    )
    chosen = [candidate for candidate, _ in ordered[:tries]]
    frugal = min(guesses, key=lambda pair: pair[1])[0]
    return chosen if frugal in chosen else [*chosen[: tries - 1], frugal]


def candidates(run, wanted: Topology, batches: tuple[int, ...]) -> Iterator:
    """Runs that differ from `run` in mesh, remat and batch, each dividing what it must."""
    inside = wanted.devices // wanted.slices
    for tensor in _TENSOR:
        model = run.model
        if inside % tensor or any(n % tensor for n in (model.heads, model.d_ff, model.vocab_size)):
            continue
        for fsdp in _divisors(inside // tensor):
            data = inside // tensor // fsdp
            if model.d_model % fsdp:
                continue
            for batch in batches:
                if batch % (data * fsdp * wanted.slices * run.training.accumulation):
                    continue
                for remat in _REMAT:
                    yield dataclasses.replace(
                        run,
                        model=dataclasses.replace(model, remat=remat),
                        mesh=dataclasses.replace(
                            run.mesh, replica=wanted.slices, data=data, fsdp=fsdp, tensor=tensor
                        ),
                        data=dataclasses.replace(run.data, batch_size=batch, batch_ramp=()),
                    )


def guess(run, wanted: Topology) -> Guess:
    """Orders candidates, from sizes alone.

    Memory: parameters, gradients and optimizer state over fsdp * tensor, the input of every layer,
    and beside it what is kept: under `full` one layer's activations and scores; under `dots` the
    outputs of all products with kernels; else those, what lies between them, and all scores with
    their softmax. Time: compute, plus weights gathered forward and backward over fsdp, plus four
    reductions of activations a layer over tensor, none overlapped.
    """
    model, mesh, generation = run.model, run.mesh, wanted.generation
    layers = model.encoder_layers + model.decoder_layers
    weights = (
        layers
        * model.d_model
        * (4 * model.heads * model.head_dim + model.d_ff * (3 if model.gated else 2))
        + 2 * model.vocab_size * model.d_model
    )
    inputs, targets = implementation(run.posed).lengths(run.posed)
    batch = run.data.batch_size
    rows = batch / (mesh.data * mesh.fsdp * wanted.slices) / run.training.accumulation
    tokens = rows * (inputs + targets)
    # Tensor splits the length of what it does not split the width of.
    width = (model.d_model + 2 * model.d_ff + 4 * model.heads * model.head_dim) / mesh.tensor
    products = 2 * tokens * width  # of a layer
    scores = 4 * rows * model.heads / mesh.tensor * inputs * inputs
    kept = {
        "none": layers * 1.5 * products + max(model.encoder_layers, 1) * 2.5 * scores,
        "dots": layers * products + scores,
        "full": products + scores,
    }[model.remat]
    state = 8 if isinstance(run.optimizer, Adafactor) else 16  # bytes a parameter
    memory = state * weights / (mesh.fsdp * mesh.tensor)
    memory += kept + 2 * layers * tokens * model.d_model / mesh.tensor
    peak = flops.peak_flops(generation.kind) or 1e12
    work = flops.train_flops(model, inputs, targets, batch)
    seconds = work * (4 / 3 if model.remat == "full" else 1) / (wanted.devices * peak)
    links = 2 * generation.link
    if mesh.fsdp > 1:
        seconds += 3 * 4 * weights / mesh.tensor / links
    if mesh.tensor > 1:
        seconds += 4 * layers * 2 * 2 * tokens * model.d_model / links
    return Guess(memory, seconds / batch)


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
