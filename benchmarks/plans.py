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
import math
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
# XXL with T5's batch on one slice of v5p, ever larger; the rest of the chips go to `data`.
SCALING = {
    "64": "v5p:4x4x4",
    "128": "v5p:4x4x8",
    "256": "v5p:4x8x8",
    "512": "v5p:8x8x8",
    "1024": "v5p:8x8x16",
    "4096": "v5p:16x16x16",
}
_PREFIX = "scaling-"


def layouts() -> list[str]:
    """The names of the recipe's layouts, in its order."""
    scope: dict = {}
    path = config_folder() / "t5_1_1_pods.py"
    exec(compile(path.read_text(), str(path), "exec"), scope)
    return list(scope["LAYOUTS"])


def case(name: str):
    """Returns (run, topology as text, slices) of a row."""
    if name.startswith(_PREFIX):
        text = SCALING[name.removeprefix(_PREFIX)]
        run = runs.load("t5_1_1_pods:xxl-v5p-4x4x8")
        data = topology.parse(text).devices // (run.mesh.fsdp * run.mesh.tensor)
        return dataclasses.replace(run, mesh=dataclasses.replace(run.mesh, data=data)), text, 1
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


def scaled(one: dict, chips: int) -> dict:
    """The figures of a plan on another number of chips, the difference all `data`.

    Compute and what is sent over `tensor` are of a chip's rows; what is sent over the other axes is
    of weights: a ring over n chips sends (n - 1) / n of them, so that only what crosses `data` grows.
    """
    part = one["devices"] / chips
    mesh = {**one["mesh"], "data": one["mesh"]["data"] * chips // one["devices"]}

    def share(what: str) -> float:
        axes = what.partition(" over ")[2].split("+")
        if axes == ["tensor"]:
            return part
        before, now = (math.prod(m.get(a, 1) for a in axes) for m in (one["mesh"], mesh))
        return (1 - 1 / now) / (1 - 1 / before) if before > 1 else 1.0

    kept = {what: (times, size * share(what)) for what, (times, size) in one["collectives"].items()}
    grown = sum(size for _, size in kept.values())
    s = dict(one["roofline"])
    s["compute"] *= part
    s["links"] *= grown / sum(size for _, size in one["collectives"].values())
    s["best"] = max(s["compute"], s["memory"], s["links"], s["network"])
    s["worst"] = max(s["compute"], s["memory"]) + s["links"] + s["network"]
    return {**one, "mesh": mesh, "devices": chips, "roofline": s, "collectives": kept}


def _scaling(known: dict[str, dict]) -> list[str]:
    """XXL's table by chips, and where it stops. Sizes not compiled are scaled from one that is."""
    rows = {int(n): known[_PREFIX + n] for n in SCALING if _PREFIX + n in known}
    compiled = set(rows)
    if base := known.get("xxl-v5p-4x4x8"):
        compiled.add(base["devices"])
        for chips in map(int, SCALING):
            rows.setdefault(chips, scaled(base, chips))
    rows = [(chips, one) for chips, one in sorted(rows.items()) if one["roofline"]]
    if not rows:
        return []
    lines = [
        "## Strong scaling of XXL on paper",
        "",
        f"{rows[0][1]['batch']} rows a step on one slice of v5p, fsdp and tensor as in the recipe, the "
        "rest `data`. Milliseconds a step by what bounds it; speed-up of the best over the smallest.",
        "",
        "| chips | mesh | rows a chip | compute | memory | links | best | worst | speed-up | of ideal "
        "| compiled |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    first_chips, first = rows[0][0], rows[0][1]["roofline"]["best"]
    stops = None
    for chips, one in rows:
        s = one["roofline"]
        gain = first / s["best"]
        ideal = gain / (chips / first_chips)
        if stops is None and s["links"] + s["network"] > max(s["compute"], s["memory"]):
            stops = (chips, one)
        ms = [f"{s[k] * 1e3:.1f}" for k in ("compute", "memory", "links", "best", "worst")]
        lines.append(
            f"| {chips} | {_mesh(one)} | {one['batch'] / chips:g} | {' | '.join(ms)} | {gain:.1f} | "
            f"{ideal:.0%} | {'yes' if chips in compiled else 'no, scaled'} |"
        )
    lines.append("")
    if stops is None:
        lines.append("Compute outlasts communication at every size planned.")
    else:
        chips, one = stops
        largest = max(one["collectives"].items(), key=lambda item: item[1][1])
        lines.append(
            f"It stops at {chips} chips: from there communication ("
            f"{one['roofline']['links'] * 1e3:.0f} ms) takes longer than products "
            f"({one['roofline']['compute'] * 1e3:.0f} ms). Compute shrinks with the rows of a chip; what "
            "a chip gathers and reduces of the weights does not, since fsdp and tensor stay the same. "
            f"Most of it is {largest[0]}: {largest[1][1] / 2**30:.1f} GiB a device and step. Past that "
            "size only a larger batch uses more chips well."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="rows (default: all), scaling-N among them")
    parser.add_argument("--again", action="store_true", help="compile also what is known")
    options = parser.parse_args()
    names = layouts()
    every = [*names, *(_PREFIX + n for n in SCALING)]
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
