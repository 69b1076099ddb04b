"""A job's command, checked before it is submitted: machines cost from the moment they are there."""

import os
import re

from t2t.errors import Failure, UserError
from t2t.launch.job import Gke, Job, Kubernetes, Slurm, TpuVm, chips, tpu


def check_command(job: Job) -> list[str]:
    """Reads the command as the hosts will: its options, its configuration, its mesh on the devices.

    What lies on the cluster alone, a recipe or what its argument names, is left to the hosts.
    Returns a line for each thing that could not be checked here.
    Raises: UserError, about `job.command`.
    """
    from t2t import recipes
    from t2t import run as runs
    from t2t.cli import parse

    if help_asked := {"-h", "--help"} & set(job.command):
        raise UserError(f"job.command: {min(help_asked)} only prints the options; leave it out")
    try:
        _, options, overrides = parse(list(job.command))
        name, _, argument = options.config.partition(":")
        if _is_path(name) and not os.path.isfile(name):
            return [_left(options.config, "is not on this machine")]
        try:
            recipes.get_config(options.config, runs.Run)
        except (UserError, Failure) as error:
            if not _names_elsewhere(argument):
                raise
            return [_left(options.config, f"cannot be read on this machine ({error})")]
        run = runs.load(options.config, overrides)
        count = devices(job)
        if count is not None:
            runs.check_devices(run, count)
    except (UserError, Failure) as error:
        raise UserError(f"job.command: {error}") from None
    return []


def devices(job: Job) -> int | None:
    """Returns how many devices the run will see; None where that is known only there."""
    if job.variables.get("JAX_PLATFORMS") == "cpu":
        return None
    match job.where:
        case TpuVm() | Gke():
            return tpu(job.where).devices
        case Kubernetes() | Slurm():
            return chips(job.where)
    return None


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith(".py")


def _names_elsewhere(argument: str) -> bool:
    """Whether a recipe's argument names a file or directory that is not on this machine."""
    parts = re.split(r":(?!//)", argument)
    return any("/" in part and not os.path.exists(part) for part in parts)


def _left(config: str, why: str) -> str:
    return f"--config={config} {why}: the configuration and its mesh are checked only where it runs"
