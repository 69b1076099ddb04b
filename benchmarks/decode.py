"""Tokens per second of greedy and beam search, against `transformers.generate` in the same run.

    python -m benchmarks.decode                                       # every case, some minutes
    python -m benchmarks.decode --sizes=small --batches=1 --searches=greedy

T5 v1.1 with one set of random float32 weights, prompts of 128 random tokens, 64 tokens written:
nothing ends early in either system. Each runs in a process of its own and decodes when told to, so
that the two take turns; token rows go in and token ids come out. Before a case is timed both must
have written the same tokens. The load is the machine's, of the last quarter of an hour: on an idle
one it is at most the number of cores.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

from benchmarks import results, systems, weights

INPUTS, OUTPUTS, BEAMS = 128, 64, 4
# Rows that must be equal: sums in another order now and then tip two tokens that all but tie.
GATE = 0.9


def random_prompts(batch: int):
    """Returns full rows of tokens [B, 128], int32."""
    import numpy as np

    return np.random.default_rng(batch).integers(2, 32000, (batch, INPUTS)).astype(np.int32)


# ------------------------------------------------------------------ the two systems, a process each


def ours(options):
    """Yields the facts of each request {search, batch}: the first compiles, and says what it wrote."""
    from t2t.training import host_memory

    if host_memory.only_cpus():  # as `t2t generate` does
        host_memory.keep_freed_memory()
    import jax
    import numpy as np

    from t2t.decoding.beam import beam
    from t2t.decoding.config import Beam
    from t2t.decoding.greedy import greedy
    from t2t.models.families import t5_1_1
    from t2t.models.transformer import build

    model = build(t5_1_1.architecture(options.serve_size))
    params = jax.jit(model.init)(jax.random.key(0))
    weights.write(options.weights, model.arch, params)
    searches = {
        "greedy": lambda p, e: greedy(model, p, e, OUTPUTS, eos_id=-1),
        "beam": lambda p, e: beam(model, p, e, OUTPUTS, Beam(beams=BEAMS), eos_id=-1),
    }
    device = jax.devices()[0]
    request = yield {"device": device.device_kind, "kind": device.platform}
    compiled = {}
    while True:
        tokens = random_prompts(request["batch"])
        encoder = {"tokens": tokens, "segments": np.ones_like(tokens)}
        case, seconds = (request["search"], request["batch"]), 0.0
        if case not in compiled:
            begun = time.perf_counter()
            compiled[case] = jax.jit(searches[case[0]]).lower(params, encoder).compile()
            seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        written = jax.device_get(compiled[case](params, encoder))
        request = yield {
            "seconds": time.perf_counter() - begun,
            "compile_seconds": seconds,
            "tokens": written.tokens[:, 0].tolist(),
        }


def peer(options):
    """`transformers`' generate, as `ours`."""
    import torch

    from t2t.models.families import t5_1_1

    model = weights.transformers_model(
        options.weights, t5_1_1.architecture(options.serve_size)
    ).eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    request = yield {}
    while True:
        tokens = torch.tensor(random_prompts(request["batch"]), device=device).long()
        begun = time.perf_counter()
        written = model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=OUTPUTS,
            do_sample=False,
            num_beams=BEAMS if request["search"] == "beam" else 1,
        ).cpu()
        request = yield {
            "seconds": time.perf_counter() - begun,
            "tokens": written[:, 1:].tolist(),
        }


# ------------------------------------------------------------------------------------- the parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="small,base", help="of T5 v1.1, by commas")
    parser.add_argument("--searches", default="greedy,beam", help="greedy, beam (4), or both")
    parser.add_argument("--batches", default="1,8,32", help="inputs a batch, by commas")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs of timed runs")
    results.add_argument(parser)
    parser.add_argument("--serve", choices=["t2t", "transformers"], help=argparse.SUPPRESS)
    parser.add_argument("--serve-size", default="", help=argparse.SUPPRESS)
    parser.add_argument("--weights", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        systems.serve({"t2t": ours, "transformers": peer}[options.serve](options))
        return
    given = sys.argv[1:] if arguments is None else arguments
    cases = [
        {"search": search, "batch": int(batch)}
        for search in options.searches.split(",")
        for batch in options.batches.split(",")
    ]
    for size in options.sizes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            shared = [*given, f"--serve-size={size}", f"--weights={folder}/weights.npz"]
            both = [  # in turn: the first writes the weights
                systems.System(name, "benchmarks.decode", shared)
                for name in ("t2t", "transformers")
            ]
            report(options, size, both[0].facts, [measure(*both, c, options.pairs) for c in cases])
            for system in both:
                system.close()


def measure(mine: systems.System, other: systems.System, case: dict, pairs: int) -> dict:
    """Returns a case's facts; ends the benchmark where the two do not write the same."""
    first, theirs = mine.ask(case), other.ask(case)
    same = [a == b for a, b in zip(first["tokens"], theirs["tokens"], strict=True)]
    if sum(same) < GATE * len(same):
        raise SystemExit(f"{case}: only {sum(same)} of {len(same)} rows are written alike")
    times = [(mine.ask(case)["seconds"], other.ask(case)["seconds"]) for _ in range(pairs)]
    found = {
        **case,
        "compile_seconds": first["compile_seconds"],
        "alike": f"{sum(same)}/{len(same)}",
        "ours": statistics.median(t[0] for t in times),
        "theirs": statistics.median(t[1] for t in times),
        "ratio": statistics.median(t[1] / t[0] for t in times),
    }
    print(f"{case['search']} {case['batch']}: {found['ratio']:.2f}", file=sys.stderr, flush=True)
    return found


def report(options, size: str, device: dict, cases: list[dict]) -> None:
    def rate(case: dict, name: str) -> str:
        return f"{case['batch'] * OUTPUTS / case[name]:,.0f}"

    rows = [
        (
            f"{c['search']} {c['batch']}",
            rate(c, "ours"),
            rate(c, "theirs"),
            f"{c['ratio']:.2f}",
            f"{c['compile_seconds']:.1f}",
            c["alike"],
        )
        for c in cases
    ]
    title = (
        f"T5 v1.1 {size}, float32, {INPUTS} in, {OUTPUTS} out, {BEAMS} beams, {device['device']}"
    )
    head = ("search, batch", "t2t tokens/s", "transformers", "times as fast", "compile s", "alike")
    results.show(title, rows, head)
    figures = f"{size}, float32, {INPUTS} in, {OUTPUTS} out, median of {options.pairs} pairs, load "
    figures += f"{os.getloadavg()[2]:.1f}, tokens/s t2t against transformers: "
    figures += "; ".join(f"{r[0]}: {r[1]} / {r[2]} = **{r[3]}** (compile {r[4]} s)" for r in rows)
    where = results.machine() if device["kind"] == "cpu" else device["device"]
    used = results.versions("jax", "flax", "transformers", "torch")
    results.append("decode", where, used, figures, options.results)


if __name__ == "__main__":
    main()
