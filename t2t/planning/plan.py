"""A plan: the report of a compilation in a process of its own, kept, judged and shown."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
from importlib import metadata

import t2t
from t2t import schema
from t2t.data import files
from t2t.errors import Failure, UserError
from t2t.monitoring.compile_cache import cache_root
from t2t.planning import roofline
from t2t.planning.environment import environment
from t2t.planning.topology import Topology

INVOLUNTARY = "Involuntary full rematerialization"
# Packages that a report depends on.
_COMPILED_BY = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "libtpu",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
)
_COMPILED_BY += ("jax-cuda12-pjrt", "jax-cuda13-pjrt", "nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvcc")
_MANY_STEPS = 1000  # of collective-permutes a step


def plan(run, text: str, wanted: Topology, quick: bool = False) -> dict:
    """Returns the report of the train step of `run`, compiled for `wanted` (`text`, as given).

    Raises: UserError for what does not fit the topology, Failure where the compiler broke.
    """
    request = {
        "config": schema.to_json(run),
        "topology": text,
        "slices": wanted.slices,
        "quick": quick,
    }
    kept = os.path.join(cache_root(), "plans", _fingerprint(request) + ".json")
    report = _kept(kept)
    if report is None:
        report = _compiled(request, wanted)
        files.write_bytes(kept, json.dumps(report).encode())
    report["roofline"] = roofline.estimate(report, wanted, run.model.remat)
    report["warnings"] = warnings(report)
    return report


def _kept(path: str) -> dict | None:
    """A report of before; None where there is none, or only a damaged one."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


def _compiled(request: dict, wanted: Topology) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "t2t.planning.compilation"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=_child_environment(wanted),
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Failure(
            f"the compiler for {wanted.name} ended with {done.returncode}: {last[:300]}"
        ) from None
    if "error" in report:
        raise (UserError if report["given"] else Failure)(report["error"])
    report["involuntary"] = done.stderr.count(INVOLUNTARY)
    return report


def _child_environment(wanted: Topology) -> dict[str, str]:
    """The child's environment: it sees the t2t that this process runs, wherever it started."""
    root = str(pathlib.Path(t2t.__file__).parent.parent)
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([root, before] if before else [root])
    return {**environment(wanted), "PYTHONPATH": path}


def _fingerprint(request: dict) -> str:
    """Of all that a report depends on: configuration, topology, versions and our own source."""
    made = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
    for name in _COMPILED_BY:
        try:
            made.update(f"{name} {metadata.version(name)}".encode())
        except metadata.PackageNotFoundError:
            continue
    for path in sorted(pathlib.Path(t2t.__file__).parent.rglob("*.py")):
        made.update(path.read_bytes())
    return made.hexdigest()[:24]


def warnings(report: dict) -> list[str]:
    """What experience says of a report: each a line, with what to do."""
    found = []
    mesh, made = report["mesh"], report.get("collectives", [])
    over_fsdp = [one for one in made if "fsdp" in one["axes"]]
    if mesh.get("fsdp", 1) > 1 and over_fsdp and not _any(over_fsdp, "all-gather"):
        found.append(
            "no weight is gathered over fsdp by an all-gather: the compiler fills and reduces "
            "instead, twice the bytes; use a smaller config.mesh.fsdp and a larger tensor"
        )
    reduced = sum(
        one["size"] * one["times"]
        for one in made
        if one["kind"] == "all-reduce" and one["axes"] == ["fsdp"]
    )
    gradients = 2 * report["parameters"] / mesh.get("tensor", 1)  # in bfloat16
    real = report["memory_bytes"] is not None  # simulated devices never scatter
    if real and mesh.get("fsdp", 1) > 1 and reduced > gradients / 10:
        instead = "the compiler's choice"
        if set(mesh) == {"fsdp"} and mesh["fsdp"] % 2 == 0:
            instead += (
                " where one axis spans a torus of several dimensions; with config.mesh.data=2 and half "
                "the fsdp it scatters"
            )
        found.append(
            f"{_bytes(reduced)} of {_bytes(gradients)} of gradients are reduced whole over fsdp "
            f"(all-reduces), where reduce-scatters would send half: {instead}"
        )
    steps = sum(one["times"] for one in made if one["kind"] == "collective-permute")
    if steps > _MANY_STEPS:
        found.append(
            f"{steps:,} collective-permutes a step: the compiler gathers weights part by part beside "
            "their products, which sends as much, but in steps that each have to begin"
        )
    if report.get("involuntary"):
        found.append(
            f"{report['involuntary']} arrays are copied whole to every device to change their "
            "layout (involuntary full rematerialisation)"
        )
    for name, size in report["unfactored"][:3]:
        found.append(
            f"the second moment of {name} is not factored ({_bytes(size)} in all): its smaller "
            "dimension is under config.optimizer.min_dim_size_to_factor"
        )
    for name, size in report["unsharded"][:3]:
        found.append(f"{name} stands whole on every device ({_bytes(size)})")
    logits = report.get("logits")
    if logits and logits["whole"] and logits["bytes"] > logits["allowed"]:
        found.append(f"float32 logits stand whole in memory ({_bytes(logits['bytes'])} a device)")
    return found


def _any(collectives: list[dict], kind: str) -> bool:
    return any(one["kind"] == kind for one in collectives)


# ------------------------------------------------------------------------------------ on screen


def lines(report: dict) -> list[str]:
    """The report as text."""
    mesh = ", ".join(f"{axis}={size}" for axis, size in report["mesh"].items()) or "one device"
    out = [
        f"{report['parameters']:,} parameters on {report['devices']} devices "
        f"({report['topology']}; {mesh}), batch {report['batch']}"
    ]
    memory = report["memory_bytes"]
    have = f" of {_bytes(memory)}" if memory else ""
    if "peak_bytes" in report:
        out.append(
            f"fits: {'yes' if report['fits'] else 'no'}; peak {_bytes(report['peak_bytes'])}{have} "
            f"a device; compiled in {report['compile_seconds']:.1f} s"
        )
    else:
        out.append(f"fits: no{have and f' ({_bytes(memory)} a device)'}; {report['why']}")
    if report["flags"]:
        out.append("flags: " + " ".join(f"{k}={v}" for k, v in report["flags"].items()))
    for name, size in report["bytes"].items():
        if size:
            out.append(f"  {name:26} {_bytes(size):>12}")
    if "argument_bytes" in report:
        out.append(_argument_line(report))
    if "logits" in report:
        logits = report["logits"]
        how = "whole" if logits["whole"] else "in chunks, never whole"
        out.append(f"float32 logits: {_bytes(logits['bytes'])} a device, {how}")
    for row in _collective_rows(report.get("collectives", [])):
        out.append(row)
    out.append(f"{_flops(report['step_flops'])} a step (model, exact)")
    seconds = report.get("roofline")
    if seconds:
        parts = ", ".join(
            f"{part} {seconds[part] * 1e3:.1f}"
            for part in ("compute", "memory", "links", "network")
            if seconds[part]
        )
        out.append(
            f"roofline: {seconds['best'] * 1e3:.1f} ms a step if everything overlaps (bound by "
            f"{roofline.bound_by(seconds)}, MFU {seconds['mfu']:.0%}), "
            f"{seconds['worst'] * 1e3:.1f} ms if no communication does; ms: {parts}"
        )
        out += [f"  assumed: {text}" for text in roofline.ASSUMPTIONS]
    out += [f"warning: {text}" for text in report["warnings"]]
    return out


def _argument_line(report: dict) -> str:
    """What the step takes in, as the compiler counts it and as its shards add up."""
    summed, tiled = report["argument_bytes_summed"], report["argument_bytes_tiled"]
    unused = report["argument_bytes_unused"]
    filling = tiled - (summed - unused)
    return (
        f"arguments: {report['argument_bytes']:,} bytes by the compiler; shards {summed:,}"
        f"{f' less {unused:,} that the step does not read' if unused else ''}"
        f"{f' and {filling:,} filling up tiles' if filling else ''} make {tiled:,}"
    )


def _collective_rows(collectives: list[dict]) -> list[str]:
    """A line for each kind and set of axes."""
    groups: dict[tuple, list[dict]] = {}
    for one in collectives:
        groups.setdefault((one["kind"], tuple(one["axes"])), []).append(one)
    rows = []
    for (kind, axes), members in sorted(
        groups.items(), key=lambda item: -sum(m["wire_bytes"] for m in item[1])
    ):
        times = sum(m["times"] for m in members)
        wire = sum(m["wire_bytes"] for m in members)
        hidden = sum(m["wire_bytes"] for m in members if m["overlapped"])
        rows.append(
            f"  {kind:18} over {'+'.join(axes) or 'one device':14} {times:>7,} a step, "
            f"{_bytes(wire):>11} sent a device, {hidden / wire if wire else 0:.0%} asynchronous"
        )
    return rows


def _flops(count: float) -> str:
    for unit in ("MFLOP", "GFLOP"):
        if count < 1e9:
            return f"{count / 1e6:,.1f} {unit}"
        count /= 1e3
    return f"{count / 1e6:,.1f} TFLOP"


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.2f} GiB"
