"""`t2t report`: draw runs, finished or not, into one HTML file; several are laid over each other."""

import sys


def add_arguments(parser) -> None:
    parser.add_argument(
        "directories", nargs="+", metavar="DIR", help="a run's directory, or several to compare"
    )
    parser.add_argument(
        "--output",
        default="",
        metavar="FILE",
        help="(default: DIR/report.html; of several: comparison.html here)",
    )


def execute(options, _overrides) -> None:
    from t2t.monitoring.report.write import NAME, write_report

    first, *others = options.directories
    output = options.output or ("comparison.html" if others else f"{first.rstrip('/')}/{NAME}")
    for run in write_report(options.directories, output):
        for note in run.notes:
            print(f"{run.directory}: {note}", file=sys.stderr)
        if run.spent is not None:
            print(f"{run.directory}: {run.spent.describe()}", file=sys.stderr)
    print(output)
