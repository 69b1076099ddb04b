"""`t2t prepare`: train the tokenizer and build the token stores that a configuration needs."""

import sys

from t2t.commands.options import add_config, at_least


def add_arguments(parser) -> None:
    add_config(parser)
    parser.add_argument(
        "--workers", type=at_least(1), default=None, help="processes (default: one a core)"
    )


def execute(options, overrides: list[tuple[str, str]]) -> None:
    from t2t import run as runs
    from t2t.training.inputs import open_inputs

    run = runs.load(options.config, overrides)
    runs.check_inputs(run)
    inputs = open_inputs(
        run,
        lambda text: print(text, file=sys.stderr),
        options.workers,
        lambda vocabulary: runs.check_vocabulary(run, vocabulary),
    )
    print("\n".join(inputs.describe()))
