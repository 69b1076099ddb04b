"""`t2t train`: from a configuration to the last checkpoint; the same command resumes."""

import os
import re

from t2t.commands.options import add_config
from t2t.errors import Failure, UserError


def add_arguments(parser) -> None:
    add_config(parser)
    parser.add_argument(
        "--workdir", default="", help="the run's directory (default: runs/NAME of the recipe)"
    )
    parser.add_argument(
        "--profile", default="", metavar="N:M", help="write a profiler capture of steps N to M"
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="run eagerly, and name the layer of the first non-finite value",
    )


def execute(options, overrides: list[tuple[str, str]]) -> None:
    from t2t.training import host_memory

    if host_memory.only_cpus():
        host_memory.keep_freed_memory()
    from t2t import run as runs

    if options.profile:
        overrides = [*overrides, ("monitoring.profile", _steps(options.profile))]
    run = runs.load(options.config, overrides)
    workdir = options.workdir.rstrip("/") or default_workdir(options.config)
    runs.check_directory(run, workdir)
    runs.check_inputs(run, workdir)
    runs.check_devices(run, _devices(run))
    try:
        record = runs.open_directory(run, workdir)
        from t2t.monitoring.report.write import report_at_the_end
        from t2t.training.loop import train

        try:
            train(
                run,
                workdir,
                check_vocabulary=lambda vocabulary: runs.check_vocabulary(run, vocabulary),
                record=record,
                debug=options.debug,
            )
        finally:  # what failed is what one wants to look at
            report_at_the_end(workdir)
    except OSError as error:  # a full or broken disk: a write to an open file names no path
        raise Failure(
            f"{error.filename or workdir}: {error.strerror or error}; what was saved before stands, "
            "and the same command goes on from there"
        ) from error


def default_workdir(config: str) -> str:
    """Returns `runs/NAME`, or `runs/NAME_ARG`, for `--config=NAME[:ARG]`."""
    name, _, argument = config.partition(":")
    stem = os.path.splitext(os.path.basename(name))[0]
    return os.path.join("runs", f"{stem}_{argument}" if argument else stem)


def _steps(text: str) -> str:
    """Reads `N:M` (or `N`) as the configuration field that it sets."""
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not found:
        raise UserError(
            f"--profile={text}: write the first and last step as N:M, for instance 10:12"
        )
    return f"({found[1]},{found[2] or found[1]})"


def _devices(run) -> int:
    """Starts the devices; returns how many there are."""
    if run.training.deterministic:  # read once, when jax looks for devices
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    import jax

    try:
        return jax.device_count()
    except RuntimeError as error:
        raise Failure(f"no device to train on: {error}") from error
