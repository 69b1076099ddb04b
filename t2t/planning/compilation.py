"""Compiling the real train step for a topology: what a child process does (`python -m`).

Reads a request as JSON on standard input, {config, topology, slices, quick}; writes a report as JSON
on standard output. The compiler of a TPU may abort the process that it runs in, and prints what
does not fit to standard error only: hence a process of its own.
"""

import importlib.util
import json
import math
import sys
import time

import jax

from t2t import schema
from t2t.errors import Failure, UserError, install_extra
from t2t.models.partition import join
from t2t.monitoring import flops
from t2t.monitoring.model_table import parameter_count, path_name
from t2t.objectives.implementations import implementation
from t2t.parallel import compiler_flags, sharding
from t2t.planning import gpu_target, hlo, topology
from t2t.planning.argument_bytes import argument_bytes, shard_bytes
from t2t.run import Run
from t2t.training import adafactor, programs
from t2t.training.compilation import abstract_batch
from t2t.training.optimizer_config import Adafactor
from t2t.vocabulary_loss import LOGITS_BYTES

# Half as long a compilation, at the price of a schedule that is not the final one.
_QUICK = {"exec_time_optimization_effort": -1.0}

# Packages of which one brings the compiler of a platform.
_COMPILERS = {"tpu": ("libtpu",), "cuda": ("jax_cuda12_plugin", "jax_cuda13_plugin")}


def topology_devices(wanted: topology.Topology) -> list:
    """The devices of a topology, none of which need be here.

    Raises: UserError where the extra that brings the compiler is missing.
    """
    generation = wanted.generation
    if generation.platform == "cpu":
        return jax.devices()[: wanted.devices]
    if not any(map(importlib.util.find_spec, _COMPILERS[generation.platform])):
        raise UserError(
            f"--topology: the compiler for {generation.name} is not installed; "
            f"{install_extra(generation.platform)}"
        )
    from jax.experimental import topologies

    shape, options = "x".join(map(str, wanted.shape)), dict(generation.options)
    try:
        if generation.platform == "cuda":
            hosts = -(-wanted.devices // topology.GPUS_OF_A_HOST)
            found = topologies.get_topology_desc(
                platform="cuda",
                topology_name=generation.name,
                topology=f"1x{hosts}x{wanted.devices // hosts}",
                target_config=gpu_target.TARGETS[generation.name],
            )
        else:
            if wanted.slices > 1:
                options["num_slices"] = wanted.slices
            if wanted.one_chip:
                options["chips_per_host_bounds"] = (1, 1, 1)
            found = topologies.get_topology_desc(
                platform="tpu", topology_name=f"{generation.name}:{shape}", **options
            )
    except Exception as error:
        text = " ".join(str(error).split())
        raise UserError(f"--topology: {wanted.name}: {text[:200]}") from None
    return list(found.devices)


def report(run: Run, wanted: topology.Topology, quick: bool = False) -> dict:
    """Compiles the train step of `run` for the topology and returns what is known of it.

    Raises: UserError for a mesh that does not fit. Memory that does not suffice is an answer.
    """
    built = programs.build(run, topology_devices(wanted))
    batch = abstract_batch(run, built, run.data.pieces()[-1][1])
    mesh = dict(built.mesh.shape)
    known = {
        "topology": wanted.name,
        "devices": wanted.devices,
        "mesh": {axis: size for axis, size in mesh.items() if size > 1},
        "batch": int(batch["targets"].shape[0]),
        "parameters": parameter_count(built.parameters),
        "memory_bytes": _or_none(wanted.generation.memory),
        "bytes": _state_bytes(built, batch),
        "unsharded": sharding.unsharded(
            join(built.axes["params"], built.axes["frozen"]),
            built.parameters,
            built.mesh,
            built.model.units,
        ),
        "unfactored": _unfactored(run, built),
        "step_flops": _step_flops(run, batch),
    }
    known["argument_bytes_summed"] = sum(
        known["bytes"][part] for part in ("parameters", "optimizer", "other state", "batch")
    )
    known["flags"] = built.flags
    if known["argument_bytes_summed"] > wanted.generation.memory:  # no need to ask the compiler
        why = "parameters, optimizer state and batch alone are more than a device has"
        return known | {"fits": False, "why": why, "compile_seconds": 0.0}
    begun = time.monotonic()
    lowered = built.train.lower(built.shapes, batch)
    options = _QUICK if quick and wanted.generation.platform == "tpu" else None
    try:
        compiled = compiler_flags.compiled(lowered, options)
    except jax.errors.JaxRuntimeError as error:
        text = " ".join(str(error).split())
        if "RESOURCE_EXHAUSTED" not in text:
            raise Failure(f"the compiler failed on {wanted.name}: {text[:300]}") from None
        seconds = time.monotonic() - begun
        return known | {"fits": False, "why": text[:300], "compile_seconds": seconds}
    known["compile_seconds"] = time.monotonic() - begun
    memory = compiled.memory_analysis()
    text = compiled.as_text()
    places = [_place(device, wanted) for device in built.mesh.devices.flat]
    peak = memory.peak_memory_in_bytes
    if wanted.generation.platform == "cpu":  # whose figure leaves out the temporaries
        peak = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    known["peak_bytes"] = peak
    known["argument_bytes"] = memory.argument_size_in_bytes
    arguments = argument_bytes((built.shapes, batch), compiled.input_formats[0])
    known["argument_bytes_unused"] = arguments.unused
    known["argument_bytes_tiled"] = arguments.tiled
    known["fits"] = peak <= wanted.generation.memory
    whole = known["bytes"]
    whole["filling up tiles"] = arguments.padding
    whole["activations and the rest"] = peak - memory.argument_size_in_bytes
    known["logits"] = _logits(batch, run.model.vocab_size, mesh, text)
    known["collectives"] = [
        {
            "kind": one.kind,
            "axes": list(hlo.axes_of(one.groups, mesh)),
            "size": one.size,
            "times": one.times,
            "wire_bytes": one.wire_bytes(wanted.devices) * one.times,
            "overlapped": one.overlapped,
            "beside": hlo.beside(one.groups, places),
            "operation": one.operation,
        }
        for one in hlo.collectives(text)
    ]
    return known


def _place(device, wanted: topology.Topology) -> int:
    """The number of the slice, or of the host of GPUs, that a device is on: what is sent to another
    crosses a network."""
    if wanted.generation.platform == "cuda":
        return device.process_index
    return getattr(device, "slice_index", 0) or 0


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _state_bytes(built: programs.Programs, batch) -> dict[str, int]:
    """Bytes on one device of what the step takes in."""
    shapes = built.shapes
    rest = {k: v for k, v in shapes.items() if k not in ("params", "opt_state")}
    return {
        "parameters": shard_bytes(shapes["params"]),
        "optimizer": shard_bytes(shapes["opt_state"]),
        "other state": shard_bytes(rest),
        "batch": shard_bytes(batch),
    }


def _logits(batch, vocabulary: int, mesh: dict[str, int], text: str) -> dict:
    """The float32 logits of a device: their bytes, whether the program holds them whole, and how many
    bytes of them the loss takes at once by its own choice."""
    rows, length = batch["targets"].sharding.shard_shape(batch["targets"].shape)
    columns = vocabulary // (mesh["tensor"] if vocabulary % mesh["tensor"] == 0 else 1)
    shapes = (f"f32[{rows},{length},{columns}]", f"f32[{rows * length},{columns}]")
    found, _ = hlo.computations(text)
    # Inside a fusion an array is computed piece by piece; only what another computation reads is whole.
    outside = (
        instruction.type
        for name, body in found.items()
        if "fused" not in name and "fusion" not in name
        for instruction in body
    )
    whole = any(shape in kind for kind in outside for shape in shapes)
    return {"bytes": 4 * rows * length * columns, "whole": whole, "allowed": LOGITS_BYTES}


def _unfactored(run: Run, built: programs.Programs) -> list[tuple[str, int]]:
    """(parameter, bytes) of Adafactor's second moments that are large but not factored."""
    if not isinstance(run.optimizer, Adafactor):
        return []
    shapes = built.shapes["params"]
    axes = jax.tree.structure(shapes).flatten_up_to(built.axes["params"])
    found = []
    for (path, leaf), names in zip(jax.tree_util.tree_leaves_with_path(shapes), axes, strict=True):
        size = math.prod(leaf.shape) * 4
        if adafactor.factored_dims(leaf.shape, names, run.optimizer) is None and size >= 1 << 20:
            found.append((path_name(path), size))
    return found


def _step_flops(run: Run, batch) -> int:
    return flops.run_flops(
        run, *implementation(run.posed).lengths(run.posed), batch["targets"].shape[0]
    )


def main() -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # libraries print where they like
    request = json.load(sys.stdin)
    jax.config.update("jax_enable_compilation_cache", False)  # such programs cannot be read back
    try:
        run = schema.from_json(request["config"], Run, "config")
        wanted = topology.parse(request["topology"], request["slices"])
        answer = report(run, wanted, request["quick"])
    except (UserError, Failure) as error:
        answer = {"error": str(error), "given": isinstance(error, UserError)}
    print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
