"""`t2t generate`: fill the blanks of each input line with a trained model."""

import sys

from t2t.commands.options import at_least
from t2t.errors import UserError


def add_arguments(parser) -> None:
    parser.add_argument("--workdir", required=True, help="a run's directory")
    parser.add_argument(
        "--step", type=at_least(0), default=None, help="checkpoint (default: the newest)"
    )
    parser.add_argument(
        "--input", default="-", help="a text file, a line an input (default: standard input)"
    )
    parser.add_argument(
        "--max-tokens", type=at_least(1), default=64, help="longest output (default: 64)"
    )


def execute(options, _overrides) -> None:
    from t2t import run as runs

    run = runs.load_saved(options.workdir)
    if run is None:
        raise UserError(f"--workdir={options.workdir}: holds no run (no config.json)")
    lines = _lines(options.input)
    from t2t.decoding.fill import fill_lines
    from t2t.training.restored import restored

    model = restored(run, options.workdir, options.step)
    for line in fill_lines(*model, lines, options.max_tokens):
        print(line)


def _lines(path: str) -> list[str]:
    """Reads the input lines of a file, or of standard input for `-`."""
    try:
        if path == "-":
            lines = sys.stdin.read().splitlines()
        else:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"--input={path}: not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise UserError(f"--input={path}: {error.strerror or error}") from None
    if not any(line.strip() for line in lines):
        raise UserError(f"--input={path}: no line of text; give a file or lines on standard input")
    return lines
