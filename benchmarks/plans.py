"""Plans of every layout of configs/t5_1_1_pods.py, and of XXL from 64 to 4096 chips: benchmarks/plans.md.

    python -m benchmarks.plans [NAME ...]    compiles what is named, or all that is not known yet

Needs `pip install -e '.[tpu]'`, and for the H100 rows jax's CUDA plugin in an environment of its own
(both compile without the hardware). Each plan is minutes of two cores; what is done stands in
plans.json and is not compiled again (--again: all named are), so it may be stopped at any time.
"""

import argparse
import dataclasses
import datetime
import json
import pathlib

from benchmarks.results import versions
from t2t import run as runs
from t2t.errors import Failure, UserError
from t2t.planning import topology
from t2t.planning.plan import plan
from t2t.planning.roofline import bound_by
from t2t.recipes import config_folder

HERE = pathlib.Path(__file__).parent
FIGURES, PAGE = HERE / "plans.json", HERE / "plans.md"
# XXL with T5's batch on one slice of v5p, ever larger: its shape, and the sizes of `tensor` tried
# (2 in rows of half a batch's is refused by libtpu 0.0.42: a length of 57 is no whole tile). The rest of
# the chips go to `data`.
SCALING = {
    64: ("v5p:4x4x4", (2,)),
    128: ("v5p:4x4x8", (2,)),
    256: ("v5p:4x8x8", (2, 4)),
    512: ("v5p:8x8x8", (2, 4)),
    1024: ("v5p:8x8x16", (2, 4, 8)),
    4096: ("v5p:16x16x16", (4, 8)),
}
_PREFIX = "scaling-"


def layouts() -> list[str]:
    """The names of the recipe's layouts, in its order."""
    scope: dict = {}
    path = config_folder() / "t5_1_1_pods.py"
    exec(compile(path.read_text(), str(path), "exec"), scope)
    return list(scope["LAYOUTS"])


def scaling() -> list[str]:
    """The names of the rows of the scaling table, in its order."""
    return [
        f"{_PREFIX}{chips}-tensor{tensor}"
        for chips, (_, sizes) in SCALING.items()
        for tensor in sizes
    ]


def case(name: str):
    """Returns (run, topology as text, slices) of a row."""
    if name.startswith(_PREFIX):
        chips, tensor = map(int, name.removeprefix(_PREFIX).split("-tensor"))
        run = runs.load("t5_1_1_pods:xxl-v5p-4x4x8")
        sizes = {"tensor": tensor, "data": chips // (run.mesh.fsdp * tensor)}
        mesh = dataclasses.replace(run.mesh, **sizes)
        return dataclasses.replace(run, mesh=mesh), SCALING[chips][0], 1
    _, kind, shape = name.split("-")
    slices, times, rest = kind.partition("x")
    if times and slices.isdigit():
        return runs.load(f"t5_1_1_pods:{name}"), f"{rest}:{shape}", int(slices)
    return runs.load(f"t5_1_1_pods:{name}"), f"{kind}:{shape}", 1


def figures(name: str) -> dict:
    """Plans a row; returns what the page shows of it."""
    run, text, slices = case(name)
    wanted = topology.parse(text, slices)
    runs.check_devices(run, wanted.devices)
    report = plan(run, text, wanted, quick=True)
    kept = {
        key: report.get(key)
        for key in (
            *("topology", "devices", "mesh", "batch", "parameters", "fits", "why", "peak_bytes"),
            *("memory_bytes", "bytes", "step_flops", "compile_seconds", "roofline", "warnings"),
            *("logits", "unsharded", "involuntary"),
        )
    }
    sums: dict[str, list] = {}
    for one in report.get("collectives", []):
        row = sums.setdefault(f"{one['kind']} over {'+'.join(one['axes'])}", [0, 0.0])
        row[0] += one["times"]
        row[1] += one["wire_bytes"]
    kept["collectives"] = sums
    kept["remat"] = run.model.remat
    kept["date"] = datetime.date.today().isoformat()
    kept["versions"] = versions("jax", "libtpu")
    return kept


# ----------------------------------------------------------------------------------------- the page


def page(known: dict[str, dict], names: list[str]) -> str:
    """plans.md, from all figures known."""
    lines = [
        "# Plans",
        "",
        "Made by `python -m benchmarks.plans`: the real train step of configs/t5_1_1_pods.py, compiled "
        "ahead of time by the real compiler for hardware that was not there, with a quick schedule "
        "(`t2t plan --quick`). Nothing here was run: memory and collectives are the compiler's, times "
        "are a roofline (its assumptions: t2t/planning/roofline.py), best if everything overlaps, worst "
        "if no communication does. MFU is of the best.",
        "",
        "| layout | mesh | batch | remat | fits | peak GiB of | best..worst ms | bound by | MFU | sent a "
        "device, GiB | compiled s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, known[name]) for name in names if name in known]
    missing = [name for name in names if name not in known]
    if missing:
        lines += ["", f"Not planned yet: {', '.join(missing)}."]
    lines += ["", *_scaling(known), "", "## Warnings and collectives", ""]
    for name in (n for n in known if n in names or n.startswith(_PREFIX)):
        one = known[name]
        lines.append(f"**{name}** ({one['versions']}, {one['date']})")
        lines += [f"- warning: {text}" for text in one["warnings"]]
        if not one["unsharded"]:
            lines.append("- nothing large stands whole on every device")
        if one["logits"] and not one["logits"]["whole"]:
            size = one["logits"]["bytes"] / 2**30
            lines.append(f"- float32 logits ({size:.2f} GiB a device) are never whole")
        for what, (times, size) in sorted(one["collectives"].items(), key=lambda i: -i[1][1]):
            if size >= 1 << 20:
                lines.append(f"- {what}: {times:,} a step, {size / 2**30:.2f} GiB a device")
        lines.append("")
    return "\n".join(lines)


def _mesh(one: dict) -> str:
    return " ".join(f"{axis}={size}" for axis, size in one["mesh"].items()) or "one device"


def _row(name: str, one: dict) -> str:
    have = one["memory_bytes"] / 2**30
    cells = [name, _mesh(one), str(one["batch"]), one["remat"], "yes" if one["fits"] else "no"]
    peak, seconds = one["peak_bytes"], one["roofline"]
    cells.append(f"{peak / 2**30:.2f} of {have:.1f}" if peak else f"? of {have:.1f}")
    if seconds:
        sent = sum(size for _, size in one["collectives"].values())
        cells += [
            f"{seconds['best'] * 1e3:.0f}..{seconds['worst'] * 1e3:.0f}",
            bound_by(seconds),
            f"{seconds['mfu']:.0%}",
            f"{sent / 2**30:.1f}",
        ]
    else:
        cells += ["", "", "", ""]
    cells.append(f"{one['compile_seconds']:.0f}")
    return f"| {' | '.join(cells)} |"


def _scaling(known: dict[str, dict]) -> list[str]:
    """XXL's table by chips and mesh, and where it stops."""
    rows = [known[name] for name in scaling() if name in known and known[name]["roofline"]]
    if not rows:
        return []
    best = {}  # of each number of chips
    for one in rows:
        fastest = min(best.get(one["devices"], one), one, key=_seconds)
        best[one["devices"]] = fastest
    lines = [
        "## Strong scaling of XXL on paper",
        "",
        f"{rows[0]['batch']} rows a step on one slice of v5p, fsdp as in the recipe, `tensor` as named, "
        "the rest `data`; each row compiled. Milliseconds a step by what bounds it; speed-up of the best "
        "over the smallest.",
        "",
        "| chips | mesh | rows a chip | peak GiB | compute | memory | links | best | worst | speed-up "
        "| of ideal |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    least = min(best)
    for one in rows:
        chips, s = one["devices"], one["roofline"]
        gain = _seconds(best[least])[0] / s["best"]
        ms = [f"{s[k] * 1e3:.1f}" for k in ("compute", "memory", "links", "best", "worst")]
        lines.append(
            f"| {chips} | {_mesh(one)} | {one['batch'] / chips:g} | {one['peak_bytes'] / 2**30:.2f} | "
            f"{' | '.join(ms)} | {gain:.1f} | {gain * least / chips:.0%} |"
        )
    lines.append("")
    return [*lines, _where_it_stops([best[chips] for chips in sorted(best)])]


def _seconds(one: dict) -> tuple[float, float]:
    return one["roofline"]["best"], one["roofline"]["worst"]


def _where_it_stops(rows: list[dict]) -> str:
    """rows: the fastest mesh of each number of chips, which grows."""
    for one in rows:
        s = one["roofline"]
        if s["links"] + s["network"] > max(s["compute"], s["memory"]):
            largest = max(one["collectives"].items(), key=lambda item: item[1][1])
            return (
                f"It stops at {one['devices']} chips: there, in the best mesh of those compiled "
                f"({_mesh(one)}), communication ({s['links'] * 1e3:.0f} ms) takes longer than products "
                f"({s['compute'] * 1e3:.0f} ms). Compute shrinks with the rows of a chip; what a chip "
                "gathers and reduces of the weights does not, as long as fsdp and tensor stay the same. "
                f"Most of it is {largest[0]}: {largest[1][1] / 2**30:.1f} GiB a device and step. Past "
                "that size only a larger batch uses more chips well."
            )
    return "Compute outlasts communication at every size planned."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="rows (default: all), scaling-N among them")
    parser.add_argument("--again", action="store_true", help="compile also what is known")
    options = parser.parse_args()
    names = layouts()
    every = [*names, *scaling()]
    for name in options.names:
        if name not in every:
            parser.error(f"no row {name}; there are: {', '.join(every)}")
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name in options.names or every:
        if name in known and not options.again:
            continue
        try:
            known[name] = figures(name)
        except (UserError, Failure) as error:
            print(f"{name}: {error}", flush=True)
            continue
        known = {n: known[n] for n in every if n in known}
        FIGURES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(known, names) + "\n", encoding="utf-8")
        print(_row(name, known[name]), flush=True)
    PAGE.write_text(page(known, names) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
