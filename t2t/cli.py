"""The command `t2t VERB`: parse, call, exit code. Nothing heavy is imported before the verb is known."""

import argparse
import os
import sys

from t2t.errors import Failure, UserError, nearest

CONFIG_HELP = "a recipe: its path, or its name (t5_1_1), and :ARGUMENT; t5_1_1:base"
EPILOG = """Any field of the configuration is set by --config.FIELD=VALUE, for instance
--config.training.steps=500 --config.optimizer=AdamW --config.mesh.fsdp=4.
Exit codes: 0 done, 1 something failed (disk, device, network), 2 what was given is wrong."""


class _Parser(argparse.ArgumentParser):
    """argparse that reports in one line, as every other error of t2t."""

    def error(self, message: str):
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="t2t",
        allow_abbrev=False,
        epilog=EPILOG,
        description="Pre-train, fine-tune and evaluate text-to-text transformers.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    from t2t import __version__

    parser.add_argument("--version", action="version", version=f"t2t {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    made = {}

    def verb(name: str, text: str) -> _Parser:
        made[name] = verbs.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return made[name]

    train = verb("train", "Train a model; the same command resumes it.")
    train.add_argument("--config", required=True, help=CONFIG_HELP)
    train.add_argument(
        "--workdir", default="", help="the run's directory (default: runs/NAME of the recipe)"
    )
    train.add_argument(
        "--profile", default="", metavar="N:M", help="write a profiler capture of steps N to M"
    )
    train.add_argument(
        "--debug",
        action="store_true",
        help="run eagerly, and name the layer of the first non-finite value",
    )
    prepare = verb("prepare", "Train the tokenizer and build the token stores of a configuration.")
    prepare.add_argument("--config", required=True, help=CONFIG_HELP)
    prepare.add_argument("--workers", type=int, default=None, help="processes (default: all cores)")
    inspect = verb("inspect", "Print the exact batch of a step: text, tokens, rows, fill.")
    inspect.add_argument("--config", required=True, help=CONFIG_HELP)
    inspect.add_argument("--step", type=int, default=0)
    inspect.add_argument("--rows", type=int, default=4, help="how many rows to print")
    inspect.add_argument("--corpus", default="", help="a held-out corpus instead of training")
    generate = verb("generate", "Fill the blanks (<extra_id_0>) of each input line.")
    generate.add_argument("--workdir", required=True, help="a run's directory")
    generate.add_argument("--step", type=int, default=None, help="checkpoint (default: the newest)")
    generate.add_argument(
        "--input", default="-", help="a text file, a line an input (default: stdin)"
    )
    generate.add_argument("--max-tokens", type=int, default=64, help="longest output")
    return parser, made


def _split_overrides(arguments: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Takes `--config.FIELD=VALUE` out of the arguments."""
    rest, overrides = [], []
    for argument in arguments:
        if argument.startswith("--config."):
            path, equals, text = argument.removeprefix("--config.").partition("=")
            if not equals:
                raise UserError(f"{argument}: write it as {argument}=VALUE")
            overrides.append((path, text))
        else:
            rest.append(argument)
    return rest, overrides


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[tuple[str, str]]]:
    parser, verbs = _parser()
    rest, overrides = _split_overrides(arguments)
    if rest and not rest[0].startswith("-") and rest[0] not in verbs:
        raise UserError(
            f"t2t {rest[0]}: no such verb{nearest(rest[0], verbs)}; verbs: {', '.join(verbs)}"
        )
    options, unknown = parser.parse_known_args(rest)
    if options.verb is None:
        parser.print_help()
        raise SystemExit(2)
    if unknown:
        known = [o for a in verbs[options.verb]._actions for o in a.option_strings]
        hint = nearest(unknown[0].partition("=")[0], known)
        kind = "unknown option" if unknown[0].startswith("-") else "unexpected argument"
        raise UserError(f"t2t {options.verb}: {kind} {unknown[0]!r}{hint}")
    if overrides and not hasattr(options, "config"):
        raise UserError(f"t2t {options.verb}: takes no --config.{overrides[0][0]}")
    return options, overrides


def _train(options, overrides) -> None:
    from t2t import run as runs

    if options.profile:
        first, _, last = options.profile.partition(":")
        overrides = [*overrides, ("monitoring.profile", f"({first},{last or first})")]
    run = runs.load(options.config, overrides)
    name = options.config.partition(":")[0]
    workdir = options.workdir or os.path.join(
        "runs",
        os.path.splitext(os.path.basename(name))[0] + options.config[len(name) :].replace(":", "_"),
    )
    record = runs.open_directory(run, workdir)
    _platform(run)
    from t2t.training.loop import train

    train(
        run,
        workdir,
        check_vocabulary=lambda v: runs.check_vocabulary(run, v),
        record=record,
        debug=options.debug,
    )


def _platform(run) -> None:
    """Sets what has to stand in the environment before jax looks for devices."""
    if run.training.deterministic:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def _prepare(options, overrides) -> None:
    from t2t import run as runs
    from t2t.training.inputs import open_inputs

    run = runs.load(options.config, overrides)
    inputs = open_inputs(
        run,
        lambda text: print(text, file=sys.stderr),
        options.workers,
        lambda vocabulary: runs.check_vocabulary(run, vocabulary),
    )
    for line in inputs.describe():
        print(line)


def _inspect(options, overrides) -> None:
    from t2t import run as runs
    from t2t.data.inspect import inspect_lines
    from t2t.training.inputs import open_inputs

    run = runs.load(options.config, overrides)
    inputs = open_inputs(run, lambda text: print(text, file=sys.stderr))
    samples = inputs.train
    if options.corpus:
        if options.corpus not in inputs.heldout:
            raise UserError(
                f"--corpus={options.corpus}: not a held-out corpus of this run"
                f"{nearest(options.corpus, inputs.heldout)}"
            )
        samples = inputs.heldout[options.corpus]
    if not 0 <= options.step < (samples.batches or run.training.steps):
        raise UserError(
            f"--step={options.step}: the batches are 0 to "
            f"{(samples.batches or run.training.steps) - 1}"
        )
    print("\n".join(inspect_lines(samples, inputs.tokenizer, options.step, options.rows)))


def _generate(options, _overrides) -> None:
    from t2t import run as runs
    from t2t.decoding.fill import fill_lines
    from t2t.training.restored import restored

    if options.input == "-":
        lines = sys.stdin.read().splitlines()
    else:
        try:
            with open(options.input, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--input={options.input}: {error}") from None
    run = runs.load_saved(options.workdir)
    if run is None:
        raise UserError(f"--workdir={options.workdir}: holds no run (no config.json)")
    if not lines:
        raise UserError("no input line; give --input=FILE or lines on standard input")
    model = restored(run, options.workdir, options.step)
    for line in fill_lines(*model, lines, options.max_tokens):
        print(line)


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb; returns its exit code."""
    try:
        options, overrides = _parse(sys.argv[1:] if arguments is None else arguments)
        {"train": _train, "prepare": _prepare, "inspect": _inspect, "generate": _generate}[
            options.verb
        ](options, overrides)
    except UserError as error:
        return _report(error, 2)
    except Failure as error:
        return _report(error, 1)
    except OSError as error:
        return _report(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _report("interrupted", 130)
    return 0


def _report(error, code: int) -> int:
    sys.stdout.flush()
    print("t2t: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
