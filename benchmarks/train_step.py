"""Seconds of one training step of T5 v1.1, against `transformers` on the same shapes in the same run.

    python -m benchmarks.train_step --size=small --batch=8                       # this CPU, float32
    python -m benchmarks.train_step --size=base --batch=128 --dtype=bfloat16     # a GPU

Each system runs in a process of its own and steps when told to, so that steps can be interleaved
and each one's memory is its own. Both take one batch of random tokens (all of it full), forward,
backward and AdamW in float32 parameters; t2t additionally clips, and measures its metrics, as in
training. On a GPU the peer computes under bfloat16 autocast with torch.compile. Before anything is
timed both must give the same loss for the same weights. FLOPs are the exact count of matrix products
(t2t/monitoring/flops.py), for both alike.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time

from benchmarks import results, systems, weights

INPUTS, TARGETS = 512, 114
GATE = {"float32": 1e-4, "bfloat16": 2e-2}  # relative difference of the two losses


def configuration(options):
    """Returns the Run whose step is timed; its data is never opened."""
    from t2t.data.config import Corpus, Data, Mixture
    from t2t.data.source_config import Text
    from t2t.data.tokenizer_config import Bytes
    from t2t.models.families import t5_1_1
    from t2t.objectives.config import SpanCorruption
    from t2t.run import Run
    from t2t.training.config import Training
    from t2t.training.optimizer_config import Adafactor, AdamW
    from t2t.training.schedule_config import Constant

    return Run(
        model=t5_1_1.architecture(
            options.size, dtype=options.dtype, layers=options.layers, remat=options.remat
        ),
        tokenizer=Bytes(),
        data=Data(Mixture((Corpus("none", Text(("none",))),)), batch_size=options.batch),
        objective=SpanCorruption(),
        optimizer=AdamW() if options.optimizer == "adamw" else Adafactor(),
        schedule=Constant(peak=1e-4),
        training=Training(),
    )


def random_batch(options) -> dict:
    """Returns tokens [B, 512], decoder tokens and targets [B, 114] of a full batch."""
    import numpy as np

    rng = np.random.default_rng(0)
    targets = rng.integers(2, 32000, (options.batch, TARGETS)).astype(np.int32)
    shifted = np.concatenate([np.zeros_like(targets[:, :1]), targets[:, :-1]], axis=1)
    return {
        "encoder": {"tokens": rng.integers(2, 32000, (options.batch, INPUTS)).astype(np.int32)},
        "decoder": {"tokens": shifted},
        "targets": targets,
        "weights": np.ones(targets.shape, np.float32),
        "sample": np.arange(options.batch, dtype=np.int32),
    }


# ------------------------------------------------------------------ the two systems, a process each


def ours(options):
    """Yields set-up facts, then a step's facts whenever it is asked for the next."""
    from t2t.training import host_memory

    if host_memory.only_cpus():  # as `t2t train` does
        host_memory.keep_freed_memory()
    import jax

    from t2t.training import programs as program_builder

    run = configuration(options)
    programs = program_builder.build(run)
    state = programs.init(program_builder.init_key(0))
    batch = jax.device_put(random_batch(options))
    loss, _ = programs.evaluate(state["params"], {}, {}, batch)
    if options.weights:
        weights.write(options.weights, run.model, state["params"])
    begun = time.perf_counter()
    step = programs.train.lower(programs.shapes, jax.eval_shape(lambda: batch)).compile()
    device = jax.devices()[0]
    state, handing_over = idle_dispatch(state, batch)
    yield {
        "loss": float(loss["loss"]) / float(loss["weight"]),
        "idle_dispatch_seconds": handing_over,
        "compile_seconds": time.perf_counter() - begun,
        "device": f"{programs.mesh.size} x {device.device_kind}",
        "kind": device.device_kind,
    }
    while True:
        begun = time.perf_counter()
        state, metrics = step(state, batch)
        dispatched = time.perf_counter() - begun
        jax.block_until_ready(metrics)
        yield {
            "seconds": time.perf_counter() - begun,
            "dispatch_seconds": dispatched,
            "peak_bytes": (device.memory_stats() or {}).get("peak_bytes_in_use") or resident_peak(),
        }


def idle_dispatch(state, batch, calls: int = 51):
    """Returns the state, and the median seconds of handing it to a program that computes nothing.

    It is what a step costs a host that does not compute itself: the CPU's own steps leave its caches
    cold and its cores busy, which the dispatch of the timed steps is measured with.
    """
    import jax

    program = jax.jit(lambda state, batch: jax.lax.optimization_barrier(state), donate_argnums=0)
    seconds = []
    for _ in range(calls):
        begun = time.perf_counter()
        state = program(state, batch)
        seconds.append(time.perf_counter() - begun)
        jax.block_until_ready(state)
    return state, statistics.median(seconds)


def peer(options):
    """`transformers`' T5 in torch, as `ours`."""
    import torch
    import transformers

    model = weights.transformers_model(options.weights, configuration(options).model)
    model.config.use_cache = False
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    if options.optimizer == "adafactor":
        optimizer = transformers.optimization.Adafactor(
            model.parameters(), lr=1e-4, relative_step=False, scale_parameter=True
        )
    batch = random_batch(options)
    arguments = {
        "input_ids": torch.tensor(batch["encoder"]["tokens"], device=device).long(),
        "decoder_input_ids": torch.tensor(batch["decoder"]["tokens"], device=device).long(),
        "labels": torch.tensor(batch["targets"], device=device).long(),
    }
    run = torch.compile(model) if gpu else model
    cast = torch.autocast(device.type, torch.bfloat16, enabled=options.dtype == "bfloat16")
    with torch.no_grad(), cast:
        loss = float(model(**arguments).loss)
    yield {"loss": loss, "compile_seconds": 0.0, "device": device.type, "kind": device.type}
    while True:
        begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with cast:
            value = run(**arguments).loss
        value.backward()
        optimizer.step()
        if gpu:
            torch.cuda.synchronize()
        yield {
            "seconds": time.perf_counter() - begun,
            "dispatch_seconds": 0.0,
            "peak_bytes": torch.cuda.max_memory_allocated() if gpu else resident_peak(),
        }


def resident_peak() -> int:
    """Returns the most memory this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ------------------------------------------------------------------------------------- the parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="small", help="of T5 v1.1: small, base, large, xl")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "adafactor"])
    parser.add_argument("--layers", default="auto", choices=["auto", "scan", "unroll"])
    parser.add_argument("--remat", default="none", choices=["none", "dots", "full"])
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs of timed steps")
    parser.add_argument("--warm-up", type=int, default=2, help="steps of each that do not count")
    parser.add_argument("--no-peer", action="store_true", help="time t2t alone")
    parser.add_argument(
        "--apart", action="store_true", help="one after the other, where both do not fit"
    )
    results.add_argument(parser)
    parser.add_argument("--serve", choices=["t2t", "transformers"], help=argparse.SUPPRESS)
    parser.add_argument("--weights", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        systems.serve({"t2t": ours, "transformers": peer}[options.serve](options))
        return
    given = sys.argv[1:] if arguments is None else arguments
    with tempfile.TemporaryDirectory() as folder:
        shared = [*given, f"--weights={folder}/weights.npz"]
        names = ["t2t"] if options.no_peer else ["t2t", "transformers"]
        facts, steps = measure(names, shared, options)
    report(options, facts, steps)


def measure(names: list[str], arguments: list[str], options) -> tuple[dict, dict]:
    """Returns set-up facts and the timed steps' facts of every system."""
    facts, steps = {}, {name: [] for name in names}
    groups = [[name] for name in names] if options.apart else [names]
    for group in groups:
        # In turn: the first writes the weights.
        started = [systems.System(name, "benchmarks.train_step", arguments) for name in group]
        for system in started:
            facts[system.name] = system.facts
        check_losses(facts, options.dtype)
        for turn in range(options.warm_up + options.pairs):
            for system in started:
                found = system.ask()
                if turn >= options.warm_up:
                    steps[system.name].append(found)
        for system in started:
            system.close()
    return facts, steps


def check_losses(facts: dict, dtype: str) -> None:
    """Ends the benchmark where two systems with the same weights do not agree."""
    losses = [fact["loss"] for fact in facts.values()]
    if max(losses) - min(losses) > GATE[dtype] * max(losses):
        raise SystemExit(f"the systems do not compute the same: losses {losses}")


def report(options, facts: dict, steps: dict) -> None:
    from t2t.models.families import t5_1_1
    from t2t.monitoring import flops

    count = flops.train_flops(t5_1_1.architecture(options.size), INPUTS, TARGETS, options.batch)
    rows, seconds = [], {}
    for name, found in steps.items():
        times = [step["seconds"] for step in found]
        seconds[name] = statistics.median(times)
        used = flops.mfu(count, seconds[name], 1, facts["t2t"]["kind"])
        rows.append(
            (
                name,
                f"{seconds[name]:.3f}",
                f"{min(times):.3f}..{max(times):.3f}",
                f"{options.batch * (INPUTS + TARGETS) / seconds[name]:,.0f}",
                f"{count / seconds[name] / 1e9:,.0f}",
                "" if used is None else f"{used:.1%}",
                f"{max(step['peak_bytes'] for step in found) / 2**30:.2f}",
                f"{statistics.median(step['dispatch_seconds'] for step in found) * 1e3:.2f}",
                f"{facts[name]['compile_seconds']:.1f}",
                f"{facts[name]['loss']:.5f}",
            )
        )
    head = ("system", "s/step", "range", "tokens/s", "GFLOP/s", "MFU", "peak GiB", "dispatch ms")
    title = (
        f"T5 v1.1 {options.size}, batch {options.batch}, {INPUTS}/{TARGETS}, {options.dtype}, "
        f"{options.optimizer}, {count / 1e12:.3f} TFLOP a step, {facts['t2t']['device']}"
    )
    results.show(title, rows, (*head, "compile s", "loss before"))
    figures = f"{options.size}, batch {options.batch}, {options.dtype}, {options.optimizer}: "
    figures += "; ".join(
        f"{row[0]} {row[1]} s/step ({row[2]}), {row[3]} tokens/s, {row[4]} GFLOP/s"
        f"{f', MFU {row[5]}' if row[5] else ''}, peak {row[6]} GiB"
        for row in rows
    )
    idle = facts["t2t"]["idle_dispatch_seconds"] * 1e3
    print(f"handing t2t's state and batch to a program that computes nothing: {idle:.2f} ms")
    figures += f"; dispatch {rows[0][7]} ms, of nothing to compute {idle:.2f} ms"
    figures += f", compile {rows[0][8]} s"
    if "transformers" in steps:
        pairs = zip(steps["transformers"], steps["t2t"], strict=True)
        ratio = statistics.median(theirs["seconds"] / mine["seconds"] for theirs, mine in pairs)
        print(f"t2t is {ratio:.2f} times as fast (median of {options.pairs} pairs)")
        figures += f"; **{ratio:.2f} times as fast**"
    where = results.machine() if facts["t2t"]["kind"] == "cpu" else facts["t2t"]["device"]
    used = results.versions("jax", "flax", "transformers", "torch")
    results.append("train_step", where, used, figures, options.results)


if __name__ == "__main__":
    main()
