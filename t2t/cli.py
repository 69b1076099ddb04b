"""The command `t2t VERB`: parse, call, exit code. Nothing heavy is imported before the verb is known.

A new verb is a line in VERBS and a module of its name in t2t.commands.
"""

import argparse
import importlib
import os
import sys

from t2t import __version__
from t2t.errors import UserError, explained, nearest

VERBS = {
    "train": "Train a model; the same command resumes it.",
    "launch": "Start a run on TPU VMs, Kubernetes, SLURM or this machine, from one job file.",
    "supervise": "Run `train` in one or several processes, again until it has ended.",
    "prepare": "Train the tokenizer and build the token stores of a configuration.",
    "inspect": "Print the exact batch of a step: text, tokens, rows, fill.",
    "eval": "Judge checkpoints on tasks: scores, intervals, predictions.",
    "compare": "Test whether two runs' scores differ by more than chance; set several side by side.",
    "report": "Draw runs into one HTML file: curves, scores, samples, configuration.",
    "tasks": "List the tasks, or show a task's examples.",
    "convert": "Read checkpoints of Hugging Face and T5X, write Hugging Face directories.",
    "plan": "Compile the train step for hardware that is not here: does it fit, what does it send.",
    "generate": "Write an output for each input, or fill its blanks (<extra_id_0>).",
}
CONFIG_NOTE = """Any field of the configuration is set by --config.FIELD=VALUE, for instance
--config.training.steps=500 --config.optimizer=AdamW --config.mesh.fsdp=4."""
EXIT_CODES = (
    "Exit codes: 0 done, 1 something failed (disk, device, network), 2 what was given is wrong."
)


class _Parser(argparse.ArgumentParser):
    """argparse that reports in one line, as every other error of t2t."""

    def __init__(self, **options):
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )

    def error(self, message: str):
        raise UserError(f"{message}; see {self.prog} --help")


def _top_parser() -> _Parser:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {text}" for name, text in VERBS.items())
    parser = _Parser(
        prog="t2t",
        usage="t2t [-h] [--version] VERB ...",
        description="Pre-train, fine-tune and evaluate text-to-text transformers.",
        epilog=f"verbs (t2t VERB --help says more):\n{verbs}\n\n{CONFIG_NOTE}\n{EXIT_CODES}",
    )
    parser.add_argument("--version", action="version", version=f"t2t {__version__}")
    return parser


def split_overrides(arguments: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Takes `--config.FIELD=VALUE` and `--config.FIELD VALUE` out of the arguments."""
    rest, overrides = [], []
    remaining = iter(arguments)
    for argument in remaining:
        if not argument.startswith("--config."):
            rest.append(argument)
            continue
        path, equals, text = argument.removeprefix("--config.").partition("=")
        if not equals:
            text = next(remaining, None)
            if text is None or text.startswith("--"):
                raise UserError(f"{argument}: has no value; write it as {argument}=VALUE")
        overrides.append((path, text))
    return rest, overrides


def parse(arguments: list[str]):
    """Returns (the verb's module, its options, overrides). Raises: UserError, one line."""
    arguments, given = _split_command(arguments)
    rest, overrides = split_overrides(arguments)
    verb, rest = (rest[0], rest[1:]) if rest else ("", [])
    if verb not in VERBS:
        if not verb:
            raise UserError(f"no verb given; verbs: {', '.join(VERBS)}; see t2t --help")
        if verb.startswith("-"):
            top = _top_parser()
            _refuse_unknown(top, top.parse_known_args([verb])[1])
        raise UserError(
            f"t2t {verb}: no such verb{nearest(verb, VERBS)}; verbs: {', '.join(VERBS)}"
        )
    command = importlib.import_module(f"t2t.commands.{verb}")
    parser = _Parser(prog=f"t2t {verb}", description=VERBS[verb])
    command.add_arguments(parser)
    configured = "--config" in parser._option_string_actions
    parser.epilog = f"{CONFIG_NOTE}\n{EXIT_CODES}" if configured else EXIT_CODES
    if overrides and not configured:
        raise UserError(f"t2t {verb}: takes no --config.{overrides[0][0]}")
    options, unknown = parser.parse_known_args(rest)
    _refuse_unknown(parser, unknown)
    if given and not getattr(command, "TAKES_COMMAND", False):
        raise UserError(f"t2t {verb}: takes no command after --")
    options.command = given
    return command, options, overrides


def _split_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Takes a command to be handed on, after `--`, off the arguments."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _refuse_unknown(parser: _Parser, unknown: list[str]) -> None:
    if not unknown:
        return
    hint = nearest(unknown[0].partition("=")[0], parser._option_string_actions)
    kind = "unknown option" if unknown[0].startswith("-") else "unexpected argument"
    raise UserError(f"{kind} {unknown[0]!r}{hint}; see {parser.prog} --help")


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb; returns its exit code."""
    try:
        command, options, overrides = parse(sys.argv[1:] if arguments is None else arguments)
        command.execute(options, overrides)
        sys.stdout.flush()
    except BrokenPipeError:  # `t2t inspect | head`: the reader has enough, which is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        found = explained(error)
        if found is None:
            raise
        return _report(*found)
    return 0


def _report(line: str, code: int) -> int:
    sys.stdout.flush()
    print(f"t2t: {line}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
