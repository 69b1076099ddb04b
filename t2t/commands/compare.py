"""`t2t compare`: is the difference between two runs more than chance; or any number of them in a table."""

import json
import os

from t2t.commands.options import at_least
from t2t.errors import UserError


def add_arguments(parser) -> None:
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN[@STEP]",
        help="directories that t2t eval judged (default step: the newest judged): two are tested "
        "against each other; more, of whatever families, are a table",
    )
    parser.add_argument(
        "--tasks",
        default="",
        metavar="A,B,...",
        help="TASK[.SPLIT][.VARIANT], as in their predictions/ (default: all that both have; in a "
        "table, that any has)",
    )
    parser.add_argument(
        "--resamples", type=at_least(1), default=10_000, help="exchanges of the test (10000)"
    )
    parser.add_argument(
        "--output", default="", metavar="FILE.json", help="write the test there too"
    )
    parser.add_argument(
        "--markdown", default="", metavar="FILE.md", help="the table, of any number, also there"
    )


def execute(options, _overrides) -> None:
    from t2t.data import files
    from t2t.evaluation import tables
    from t2t.evaluation.comparison import compare, names_in_both

    if options.runs and (options.markdown or len(options.runs) > 2):
        if options.output:
            raise UserError("--output: is of the test of two runs; a table goes to --markdown")
        return _table(options)
    if len(options.runs) != 2:
        raise UserError(f"compare takes two runs, got {len(options.runs)}; see t2t compare --help")
    first, second = map(_judgement, options.runs)
    names = [name for name in options.tasks.split(",") if name] or names_in_both(first, second)
    found = compare(first, second, names, options.resamples)
    if options.output:
        content = {
            "first": first._asdict(),
            "second": second._asdict(),
            "resamples": options.resamples,
            "tasks": {
                name: {
                    "examples": count,
                    "scores": {score: d._asdict() for score, d in differences.items()},
                }
                for name, count, differences in found
            },
        }
        files.write_bytes(options.output, (json.dumps(content, indent=1) + "\n").encode())
    print(f"first: {options.runs[0]}\nsecond: {options.runs[1]}")
    print("\n".join(tables.screen(tables.COMPARED, tables.compared_rows(found))))
    print(
        f"p: how often {options.resamples} random exchanges of examples between the two differ as "
        "much (two-sided; below 0.05 is unlikely to be chance)"
    )


def _table(options) -> None:
    """Prints a row a run; `--markdown` also writes it."""
    from t2t.data import files
    from t2t.evaluation import tables
    from t2t.evaluation.side_by_side import side_by_side

    runs = [_judgement(text) for text in options.runs]
    names = [name for name in options.tasks.split(",") if name]
    header, rows = side_by_side(runs, names, _described, ("family", "stacks", "parameters"))
    if options.markdown:
        files.write_bytes(options.markdown, tables.markdown(header, rows).encode())
    print("\n".join(tables.screen(header, rows)))


def _described(workdir: str) -> tuple[str, str, str]:
    """What a run's model is: its family, its stacks, and how many parameters it has."""
    from t2t.interop.families import family_of
    from t2t.models.transformer import build
    from t2t.monitoring.model_table import parameter_count
    from t2t.trained import load_trained

    arch = load_trained(workdir).model
    try:
        family = family_of(arch)
    except UserError:  # of axes that no published family has
        family = "-"
    stacks = arch.stacks.removesuffix(" alone").removeprefix("an ").removeprefix("a ")
    return family, stacks, f"{parameter_count(build(arch).shapes):,}"


def _judgement(text: str):
    from t2t.evaluation.comparison import Judgement

    workdir, _, step = text.rpartition("@")
    if not workdir or not step.isdigit() or os.path.isdir(text):
        return Judgement(text.rstrip("/"))
    return Judgement(workdir.rstrip("/"), int(step))
