"""`t2t inspect`: the exact batch of a step as text, tokens and packed rows."""

import sys

from t2t.commands.options import add_config, at_least
from t2t.errors import UserError, nearest


def add_arguments(parser) -> None:
    add_config(parser)
    parser.add_argument("--step", type=at_least(0), default=0, help="which batch (default: 0)")
    parser.add_argument(
        "--rows", type=at_least(0), default=4, help="how many rows to print (default: 4)"
    )
    parser.add_argument("--corpus", default="", help="a held-out corpus instead of training")


def execute(options, overrides: list[tuple[str, str]]) -> None:
    from t2t import run as runs
    from t2t.data.inspect import inspect_lines
    from t2t.training.inputs import open_inputs

    run = runs.load(options.config, overrides)
    runs.check_inputs(run)
    held_out = [corpus.name for corpus in run.data.evaluation]
    if options.corpus and options.corpus not in held_out:
        raise UserError(
            f"--corpus={options.corpus}: not a held-out corpus of this run"
            f"{nearest(options.corpus, held_out)}; it has {', '.join(held_out) or 'none'}"
        )
    inputs = open_inputs(
        run,
        lambda text: print(text, file=sys.stderr),
        check=lambda vocabulary: runs.check_vocabulary(run, vocabulary),
    )
    samples = inputs.heldout[options.corpus] if options.corpus else inputs.train
    batches = samples.batches or run.training.steps
    if options.step >= batches:
        raise UserError(f"--step={options.step}: the batches are 0 to {batches - 1}")
    print("\n".join(inspect_lines(samples, inputs.tokenizer, options.step, options.rows)))
