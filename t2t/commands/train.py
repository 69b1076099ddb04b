"""`t2t train`: from a configuration to the last checkpoint; the same command resumes."""

import contextlib
import os
import re
import sys

from t2t.commands.options import add_config, at_least
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
    several = parser.add_argument_group(
        "several hosts", "found by themselves under t2t supervise and launch, SLURM and on TPUs"
    )
    several.add_argument(
        "--coordinator", default="", metavar="HOST:PORT", help="where process 0 listens"
    )
    several.add_argument("--processes", type=at_least(1), help="how many there are in all")
    several.add_argument("--process-id", type=at_least(0), help="which of them this is, from 0")
    several.add_argument(
        "--start-timeout",
        type=at_least(1),
        default=300,
        metavar="SECONDS",
        help="how long all hosts may take to start (default: 300)",
    )
    several.add_argument(
        "--host-timeout",
        type=at_least(1),
        default=60,
        metavar="SECONDS",
        help="how long a host may give no sign of life (default: 60)",
    )


def execute(options, overrides: list[tuple[str, str]]) -> None:
    from t2t.launch import child

    child.attend(options.host_timeout)
    from t2t.training import host_memory

    if host_memory.only_cpus():
        host_memory.keep_freed_memory()
    from t2t import run as runs

    if options.profile:
        overrides = [*overrides, ("monitoring.profile", _steps(options.profile))]
    run = runs.load(options.config, overrides)
    workdir = options.workdir.rstrip("/") or default_workdir(options.config)
    from t2t.parallel import hosts as places
    from t2t.parallel.gang import Alone, Gang

    place = places.find(options.coordinator, options.processes, options.process_id)
    if place is None:
        _train(run, workdir, Alone(), options.debug)
        from t2t.training.compilation import compiling

        if compiling():  # asked to stop before the first step: nothing is left to do
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        return
    gang = Gang(place, options.start_timeout, options.host_timeout)
    with gang.fail_stop():
        gang.start()
        _train(run, workdir, gang, options.debug)


def _train(run, workdir: str, hosts, debug: bool) -> None:
    from t2t import run as runs
    from t2t.parallel.gang import tell_outcome

    runs.check_directory(run, workdir)
    runs.check_inputs(run, workdir)
    devices = _devices(run)
    if hosts.several:
        hosts.agree("configuration", _facts(run, workdir))
        hosts.check_shared(workdir)
    runs.check_devices(run, devices)
    from t2t.training import run_lock

    with run_lock.held(workdir) if hosts.writes else contextlib.nullcontext():
        stopped = _to_the_end(run, workdir, hosts, debug)
    tell_outcome("stopped" if stopped else "done", stopped or "")


def _to_the_end(run, workdir: str, hosts, debug: bool) -> str | None:
    """Trains in a directory that is this run's; returns what stopped it before its end, if anything."""
    from t2t import run as runs
    from t2t.monitoring.report.write import report_at_the_end
    from t2t.training.loop import train

    record = runs.open_directory(run, workdir, hosts.writes)
    try:
        stopped = train(
            run,
            workdir,
            hosts=hosts,
            check_vocabulary=lambda vocabulary: runs.check_vocabulary(run, vocabulary),
            record=record,
            debug=debug,
        )
    except BaseException as error:
        if not hosts.several:  # what failed is what one wants to look at; others first hear of it
            report_at_the_end(workdir)
        # A full or broken disk: a write to an open file names no path.
        if isinstance(error, OSError):
            raise Failure(
                f"{error.filename or workdir}: {error.strerror or error}; what was saved before "
                "stands, and the same command goes on from there"
            ) from error
        raise
    report_at_the_end(workdir)
    return stopped


def _facts(run, workdir: str) -> dict[str, str]:
    """Returns what must be the same on every host before they do anything together."""
    import jax

    from t2t import schema
    from t2t.versions import versions

    device, count = jax.local_devices()[0].device_kind, jax.local_device_count()
    return {
        "--workdir": workdir,
        "devices of a host": f"{count} x {device}",
        **{name: os.environ.get(name, "nothing") for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")},
        **{f"version of {name}": version for name, version in versions().items()},
        **{key: repr(value) for key, value in schema.leaves(run, "config").items()},
    }


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
    from t2t.parallel.gpu_memory import take_most

    take_most()
    import jax

    try:
        return jax.device_count()
    except RuntimeError as error:
        raise Failure(f"no device to train on: {error}") from error
