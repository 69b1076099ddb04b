"""The least time that a step can take, from a plan's report, and what was assumed."""

from t2t.monitoring import flops
from t2t.planning.topology import Topology

ASSUMPTIONS = (
    "products run at the device's published bfloat16 peak; recomputation under remat='full' is one "
    "more forward pass",
    "parameters and optimizer state are read once and written once, gathered weights written and "
    "read once; activations are not counted",
    "a collective runs as a ring over one torus axis, both directions of one link each",
    "what crosses slices, or hosts of GPUs, leaves and enters each once in a ring, over its members' "
    "shares of the network",
    "at best everything overlaps; at worst no communication does",
)


def estimate(report: dict, wanted: Topology, remat: str) -> dict[str, float] | None:
    """Seconds of a step by what bounds it; None where the device's peak is unknown.

    Returns {compute, memory, links, network, best, worst, mfu} (mfu: of `best`).
    """
    generation = wanted.generation
    peak = flops.peak_flops(generation.kind)
    if peak is None or "collectives" not in report:
        return None
    work = report["step_flops"] * (4 / 3 if remat == "full" else 1)
    state = report["bytes"]["parameters"] + report["bytes"]["optimizer"]
    inside, across, gathered = 0.0, 0.0, 0.0
    for one in report["collectives"]:
        together = one["beside"]  # members on one slice or host; 0: the group does not leave it
        if together:
            across += one["wire_bytes"] / together
        if together != 1:
            inside += one["wire_bytes"]
        if one["kind"] == "all-gather":
            gathered += one["size"] * one["times"]
    seconds = {
        "compute": work / (wanted.devices * peak),
        "memory": 2 * (state + gathered) / generation.memory_bandwidth,
        "links": inside / (2 * generation.link),
        "network": across / generation.network,
    }
    best = max(seconds.values())
    worst = max(seconds["compute"], seconds["memory"]) + seconds["links"] + seconds["network"]
    mfu = report["step_flops"] / (best * wanted.devices * peak)
    return {**seconds, "best": best, "worst": worst, "mfu": mfu}


def bound_by(seconds: dict[str, float]) -> str:
    """Names what `best` is the time of."""
    parts = ("compute", "memory", "links", "network")
    return max(parts, key=lambda part: seconds[part])
