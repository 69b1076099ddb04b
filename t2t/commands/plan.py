"""`t2t plan`: compile the real train step for hardware that is not here, and say what it needs."""

import dataclasses
import json
import sys

from t2t.commands.options import add_config, at_least
from t2t.data.files import check_place
from t2t.errors import UserError
from t2t.parallel.mesh_config import AXES

_TRIES = 6


def add_arguments(parser) -> None:
    add_config(parser)
    parser.add_argument(
        "--topology",
        required=True,
        metavar="KIND:SHAPE",
        help="v4, v5e, v5p, v6e or tpu7x (v5p:4x4x8), h100 or h200 (h100:8), cpu (cpu:8, simulated)",
    )
    parser.add_argument(
        "--slices", type=at_least(1), default=1, help="TPU slices of that shape (default: 1)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="compile faster, with a schedule that is not the last"
    )
    parser.add_argument(
        "--search", action="store_true", help="try meshes and remat, and rank what fits"
    )
    parser.add_argument(
        "--batches",
        default="",
        metavar="N,N",
        help="batch sizes to search (default: the config's, a half and a quarter of it)",
    )
    parser.add_argument("--tries", type=at_least(1), help="compilations of a search (default: 6)")
    parser.add_argument(
        "--json", default="", metavar="FILE", help="write the report there; - is stdout"
    )


def execute(options, overrides: list[tuple[str, str]]) -> None:
    from t2t import run as runs
    from t2t.planning import topology
    from t2t.planning.plan import lines, plan
    from t2t.planning.search import search

    for name in ("batches", "tries"):
        if getattr(options, name) and not options.search:
            raise UserError(f"--{name}: is of a search; add --search")
    if options.json not in ("", "-"):
        check_place(options.json, "--json")
    run = runs.load(options.config, overrides)
    wanted = topology.parse(options.topology, options.slices)
    if options.slices > 1 and run.mesh.replica == 1 and not options.search:
        # Nothing but replica crosses slices, so this is what is meant.
        run = dataclasses.replace(run, mesh=dataclasses.replace(run.mesh, replica=options.slices))
    if not options.search:
        runs.check_devices(run, wanted.devices)
        report = plan(run, options.topology, wanted, options.quick)
        _show(options, report, lines(report))
        return

    def compiled(candidate) -> dict:
        runs.check_devices(candidate, wanted.devices)
        print(f"compiling {_name(candidate)}", file=sys.stderr, flush=True)
        return plan(candidate, options.topology, wanted, quick=True)

    batches = _batches(options.batches) or _fractions(run.data.batch_size)
    ranked = search(run, wanted, batches, options.tries or _TRIES, compiled)
    text = [_row(candidate, report) for candidate, report in ranked]
    best = next(((c, r) for c, r in ranked if r["fits"]), None)
    if best:
        text += ["", f"best: {_overrides(best[0])}", *lines(best[1])]
    else:
        text.append(
            f"none of the {len(ranked)} compiled fits; --tries=N compiles more, --batches=N,N smaller "
            "batches"
        )
    found = [{"overrides": _overrides(candidate), **report} for candidate, report in ranked]
    _show(options, found, text)


def _show(options, report, text: list[str]) -> None:
    if options.json == "-":
        print(json.dumps(report, indent=1))
        return
    print("\n".join(text))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(json.dumps(report, indent=1) + "\n")


def _name(run) -> str:
    parts = [f"{axis}={size}" for axis, size in _mesh(run).items() if size > 1]
    return " ".join([*parts, f"remat={run.model.remat}", f"batch={run.data.batch_size}"])


def _overrides(run) -> str:
    """The options that make a configuration this candidate."""
    fields = [f"--config.mesh.{axis}={size}" for axis, size in _mesh(run).items()]
    fields += [
        f"--config.model.remat={run.model.remat}",
        f"--config.data.batch_size={run.data.batch_size}",
    ]
    return " ".join(fields)


def _mesh(run) -> dict[str, int]:
    return {axis: getattr(run.mesh, axis) for axis in AXES if axis != "stage"}


def _row(run, report: dict) -> str:
    seconds = report["roofline"]
    if not report["fits"]:
        return f"{_name(run):60} does not fit"
    peak = f"{report['peak_bytes'] / 2**30:.2f} GiB"
    if not seconds:
        return f"{_name(run):60} {peak:>12}"
    return (
        f"{_name(run):60} {peak:>12}  {seconds['best'] * 1e3:8.1f} .. "
        f"{seconds['worst'] * 1e3:.1f} ms, MFU at best {seconds['mfu']:.0%}"
    )


def _fractions(batch: int) -> tuple[int, ...]:
    """A batch, a half and a quarter of it, where those are whole."""
    return tuple(batch // part for part in (1, 2, 4) if batch % part == 0)


def _batches(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise UserError(f"--batches={text}: write sizes as N,N,N") from None
    if any(size < 1 for size in sizes):
        raise UserError(f"--batches={text}: a batch has at least one row")
    return sizes
