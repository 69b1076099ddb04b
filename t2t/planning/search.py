"""Trying meshes and remat for a topology: cheap estimates order what is then really compiled."""

import dataclasses
import math
from collections.abc import Callable, Iterator

from t2t.errors import UserError
from t2t.monitoring import flops
from t2t.planning.topology import Topology

_TENSOR = (1, 2, 4, 8, 16)
_REMAT = ("none", "dots", "full")


def search(
    run, wanted: Topology, batches: tuple[int, ...], tries: int, plan: Callable[[object], dict]
) -> list[tuple[object, dict]]:
    """Compiles the `tries` most promising candidates; returns (run, report), the best that fit first.

    plan(run) -> report. Candidates that the compiler refuses for their mesh are left out.
    Raises: UserError where no mesh suits the model at all.
    """
    ordered = sorted(candidates(run, wanted, batches), key=lambda c: guess(c, wanted))
    if not ordered:
        raise UserError(
            f"--search: no mesh of {wanted.devices} devices divides the model and a batch of "
            f"{', '.join(map(str, batches))} rows; try another batch size by --batches"
        )
    found = []
    for candidate in ordered[:tries]:
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


def guess(run, wanted: Topology) -> tuple[bool, float]:
    """(whether it surely does not fit, seconds a row by rule of thumb), to order candidates by.

    Memory: parameters, gradients and their float32 state over fsdp * tensor, activations of a layer
    (all layers without remat). Time: compute, plus weights gathered forward and backward over fsdp,
    plus four reductions of activations a layer over tensor, none overlapped.
    """
    from t2t.objectives.implementations import implementation

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
    rows = batch / (mesh.data * mesh.fsdp * wanted.slices)
    tokens = rows * (inputs + targets)
    width = model.d_model + (2 * model.d_ff + 4 * model.heads * model.head_dim) / mesh.tensor
    scores = 4 * rows * model.heads / mesh.tensor * inputs * inputs
    kept = {"none": layers / 2, "dots": layers / 3, "full": 1}[model.remat]
    memory = 8 * weights / (mesh.fsdp * mesh.tensor)
    memory += kept * (2 * tokens * width + scores) + 2 * layers * tokens * model.d_model
    peak = flops.peak_flops(generation.kind) or 1e12
    work = flops.train_flops(model, inputs, targets, batch)
    seconds = work * (4 / 3 if model.remat == "full" else 1) / (wanted.devices * peak)
    links = 2 * generation.link
    if mesh.fsdp > 1:
        seconds += 3 * 4 * weights / mesh.tensor / links
    if mesh.tensor > 1:
        seconds += 4 * layers * 2 * 2 * tokens * model.d_model / links
    return memory > 2 * generation.memory, seconds / batch


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
