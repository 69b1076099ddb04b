"""Trying meshes and remat for a topology: cheap estimates order what is then really compiled."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from t2t.errors import UserError
from t2t.monitoring import flops
from t2t.objectives.implementations import implementation
from t2t.planning.topology import Topology
from t2t.run import check_devices
from t2t.training.optimizer_config import Adafactor

_TENSOR = (1, 2, 4, 8, 16)
_CONTEXT = (1, 2, 4, 8)
_REMAT = ("none", "dots", "full")


class Guess(NamedTuple):
    """By rule of thumb: bytes of a device's memory, and seconds a row."""

    memory: float
    seconds: float


def search(
    run, wanted: Topology, batches: tuple[int, ...], tries: int, plan: Callable[[object], dict]
) -> list[tuple[object, dict]]:
    """Compiles the `tries` most promising candidates; returns (run, report), the best that fit first.

    plan(run) -> report. Candidates that the compiler refuses for their mesh are left out.
    Raises: UserError where no mesh suits the model at all, or the compiler refuses all of them.
    """
    guesses = [(one, guess(one, wanted)) for one in candidates(run, wanted, batches)]
    if not guesses:
        raise UserError(
            f"--search: no mesh of {wanted.devices} devices divides the model and a batch of "
            f"{', '.join(map(str, batches))} rows; try another batch size by --batches"
        )
    found, refused = [], None
    for candidate in promising(guesses, wanted, tries):
        try:
            found.append((candidate, plan(candidate)))
        except UserError as error:
            refused = error
    if refused is not None and not found:
        raise refused

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
    # Guesses are a tenth to a third too low (of the layouts in benchmarks/plans.md).
    most = wanted.generation.memory
    ordered = sorted(
        guesses, key=lambda pair: (pair[1].memory > most, pair[1].seconds, pair[1].memory)
    )
    chosen = [candidate for candidate, _ in ordered[:tries]]
    frugal = min(guesses, key=lambda pair: pair[1])[0]
    return chosen if frugal in chosen else [*chosen[: tries - 1], frugal]


def candidates(run, wanted: Topology, batches: tuple[int, ...]) -> Iterator:
    """Runs that differ from `run` in mesh, remat and batch, each dividing what it must."""
    experts = _divisors(run.model.experts) if run.model.experts else [1]
    inside = wanted.devices // wanted.slices
    for tensor, context, expert in itertools.product(_TENSOR, _CONTEXT, experts):
        rest, over = divmod(inside, tensor * context * expert)
        for fsdp in () if over else _divisors(rest):
            sizes = {"data": rest // fsdp, "fsdp": fsdp, "tensor": tensor}
            sizes |= {"context": context, "expert": expert, "replica": wanted.slices}
            mesh = dataclasses.replace(run.mesh, **sizes)
            for batch in batches:
                data = dataclasses.replace(run.data, batch_size=batch, batch_ramp=())
                one = dataclasses.replace(run, mesh=mesh, data=data)
                try:
                    check_devices(one, wanted.devices)
                except UserError:
                    continue
                for remat in _REMAT:
                    yield dataclasses.replace(
                        one, model=dataclasses.replace(run.model, remat=remat)
                    )


def guess(run, wanted: Topology) -> Guess:
    """Orders candidates, from sizes alone.

    Memory: parameters, gradients and optimizer state over fsdp * tensor (experts over `expert` too), the
    input of every layer, and beside it what is kept: under `full` one layer's activations and scores;
    under `dots` the outputs of all products with kernels; else those, what lies between them, and all
    scores with their softmax. Time: compute, plus weights gathered forward and backward over fsdp, four
    reductions of activations a layer over tensor, keys and values gathered and their gradients reduced
    over context, and tokens sent to their experts and back, none overlapped.
    """
    model, mesh, generation = run.model, run.mesh, wanted.generation
    layers = model.encoder_layers + model.decoder_layers
    attention = 4 * model.heads * model.head_dim
    feed_forward = model.d_ff * (3 if model.gated else 2)
    routed = layers // model.expert_every if model.experts else 0
    dense = model.d_model * (layers * attention + (layers - routed) * feed_forward)
    dense += 2 * model.vocab_size * model.d_model
    own = model.d_model * routed * feed_forward * model.experts / mesh.expert
    weights = dense + own
    inputs, targets = implementation(run.posed).lengths(run.posed)
    batch = run.data.batch_size
    split = mesh.data * mesh.fsdp * mesh.expert * wanted.slices
    rows = batch / split / run.training.accumulation
    longest = max(inputs if model.encoder_layers else 0, targets if model.decoder_layers else 0)
    # What passes all layers of its stack, and one layer.
    passed = rows * (model.encoder_layers * inputs + model.decoder_layers * targets) / mesh.context
    tokens = rows * longest / mesh.context
    # Tensor splits the length of what it does not split the width of.
    width = (
        2 * (model.d_model + 2 * model.d_ff + attention) / mesh.tensor
    )  # bytes a token and layer
    scores = 4 * tokens * model.heads / mesh.tensor * longest
    kept = {
        "none": 1.5 * width * passed + max(model.encoder_layers, 1) * 2.5 * scores,
        "dots": width * passed + scores,
        "full": width * tokens + scores,
    }[model.remat]
    state = 8 if isinstance(run.optimizer, Adafactor) else 16  # bytes a parameter
    memory = state * weights / (mesh.fsdp * mesh.tensor)
    memory += kept + 2 * passed * model.d_model / mesh.tensor
    peak = flops.peak_flops(generation.kind) or 1e12
    work = flops.run_flops(run, inputs, targets, batch)
    seconds = work * (4 / 3 if model.remat == "full" else 1) / (wanted.devices * peak)
    sent = 0.0  # bytes of a device
    if mesh.fsdp > 1:
        sent += 3 * 4 * weights / mesh.tensor
    if mesh.tensor > 1:
        sent += 4 * 2 * 2 * passed * model.d_model
    if mesh.context > 1:
        sent += 3 * 2 * passed * mesh.context * attention / 2 / mesh.tensor
    if mesh.expert > 1:
        sent += 4 * routed / max(layers, 1) * 2 * passed * model.d_model
    return Guess(memory, (seconds + sent / (2 * generation.link)) / batch)


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
