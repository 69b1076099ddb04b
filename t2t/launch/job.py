"""A job description: what to run and where; one TOML file, from which every launcher makes its own."""

import dataclasses
import re
import tomllib
from typing import Literal

from t2t import schema
from t2t.errors import UserError
from t2t.planning import topology

_ENVIRONMENT = re.compile(r"[A-Za-z_]\w*=.*")
_NO_LINE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u0085\u2028\u2029]")
SAVE_SECONDS = 180  # before the end of a SLURM job's time it is asked to save
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")  # a name of every system's


@dataclasses.dataclass(frozen=True)
class Local:
    """Processes on this machine."""

    processes: int = 1

    def check(self, where: str) -> None:
        if self.processes < 1:
            raise UserError(f"{where}.processes: must be at least 1, got {self.processes}")


@dataclasses.dataclass(frozen=True)
class TpuVm:
    """TPU VMs as a queued resource of Google Cloud.

    install: what pip installs on every host, for instance a wheel in a bucket. runtime: the VM image
    (empty: the generation's own). spot: cheaper, and taken away when somebody pays more; then it is
    asked for again.
    """

    project: str
    zone: str
    topology: str
    install: str
    slices: int = 1
    spot: bool = False
    reservation: str = ""
    runtime: str = ""
    network: str = ""
    service_account: str = ""

    def check(self, where: str) -> None:
        _check_tpu(self, where)
        if self.topology.startswith("tpu7x"):
            raise UserError(f"{where}.topology: tpu7x comes with GKE only; take class = 'Gke'")


@dataclasses.dataclass(frozen=True)
class Gke:
    """TPU slices of a GKE cluster, as a JobSet (its controller is installed in the cluster)."""

    topology: str
    image: str
    slices: int = 1
    spot: bool = False
    reservation: str = ""
    namespace: str = "default"
    service_account: str = ""
    queue: str = ""  # of Kueue
    priority_class: str = ""

    def check(self, where: str) -> None:
        _check_tpu(self, where)


@dataclasses.dataclass(frozen=True)
class Kubernetes:
    """Nodes with GPUs of any Kubernetes cluster, as an indexed Job and a headless Service."""

    nodes: int
    image: str
    gpus_per_node: int = 8
    gpu: str = "nvidia.com/gpu"  # the resource
    namespace: str = "default"
    service_account: str = ""
    claim: str = ""  # a PersistentVolumeClaim, mounted at /data on all nodes

    def check(self, where: str) -> None:
        _check_counts(self, ("nodes", "gpus_per_node"), where)


@dataclasses.dataclass(frozen=True)
class Slurm:
    """Nodes of a SLURM cluster: one process a node, with all of its GPUs.

    setup: a line of shell before the run, for instance to activate an environment. time: of
    --time; before it is over the run saves and queues itself again.
    """

    nodes: int
    gpus_per_node: int = 8
    cpus_per_node: int = 0
    time: str = "24:00:00"
    partition: str = ""
    account: str = ""
    setup: str = ""
    container: str = ""  # an image, where the cluster has pyxis

    def check(self, where: str) -> None:
        _check_counts(self, ("nodes", "gpus_per_node"), where)
        if self.cpus_per_node < 0:
            raise UserError(f"{where}.cpus_per_node: must not be negative")
        seconds = _seconds(self.time)
        if seconds is None:
            raise UserError(f"{where}.time: write it as HH:MM:SS or D-HH:MM:SS, not {self.time!r}")
        if seconds <= SAVE_SECONDS:
            raise UserError(
                f"{where}.time: {self.time!r} is {seconds} s; it must be over {SAVE_SECONDS} s, which "
                "the run has to save before its end"
            )
        for name in ("partition", "account"):
            if re.search(r"\s", getattr(self, name)):
                raise UserError(f"{where}.{name}: {getattr(self, name)!r} has a space in it")


Where = Local | TpuVm | Gke | Kubernetes | Slurm


@dataclasses.dataclass(frozen=True)
class Job:
    """One run to be launched.

    command: of t2t, `train` with a --workdir. environment: NAME=VALUE, on every host. restarts:
    attempts in a row without a new checkpoint before it is given up. start_timeout: seconds for all
    hosts to appear; new machines take minutes. chip_hour: what a chip costs an hour, to be shown.
    """

    name: str
    command: tuple[str, ...]
    where: Where
    environment: tuple[str, ...] = ()
    restarts: int = 5
    start_timeout: int = 1800
    chip_hour: float = 0.0
    currency: Literal["USD", "EUR"] = "USD"

    def check(self) -> None:
        from t2t.launch.supervisor import workdir_of

        self._check_lines()
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"job.name: {self.name!r} is no name everywhere; take lower-case letters, digits "
                "and hyphens, a letter first, at most 40 of them"
            )
        workdir = workdir_of(self.command)
        for i, text in enumerate(self.environment):
            if not _ENVIRONMENT.fullmatch(text):
                raise UserError(f"job.environment[{i}]: write it as NAME=VALUE, not {text!r}")
        for name, least in (("restarts", 0), ("start_timeout", 1), ("chip_hour", 0)):
            if getattr(self, name) < least:
                raise UserError(f"job.{name}: must be at least {least}, got {getattr(self, name)}")
        self.where.check("job.where")
        if isinstance(self.where, TpuVm | Gke) and "://" not in workdir:
            raise UserError(
                f"job.command: --workdir={workdir} is on each host's own disk; give one in a bucket "
                "(gs://BUCKET/PATH), which all hosts see and which outlives them"
            )

    def _check_lines(self) -> None:
        """Every text becomes a part of one line of a script or a manifest."""
        found = {f"job.where.{key}": value for key, value in vars(self.where).items()}
        for name in ("command", "environment"):
            found |= {f"job.{name}[{i}]": text for i, text in enumerate(getattr(self, name))}
        for name, value in found.items():
            if isinstance(value, str) and _NO_LINE.search(value):
                raise UserError(f"{name}: {value!r} is more than one line of text")

    @property
    def supervised(self) -> list[str]:
        """The arguments of t2t on every host."""
        more = (
            []
            if any(a.startswith("--start-timeout") for a in self.command)
            else ["--start-timeout"]
        )
        return [
            *("supervise", f"--restarts={self.restarts}", "--"),
            *self.command,
            *(f"{option}={self.start_timeout}" for option in more),
        ]

    @property
    def variables(self) -> dict[str, str]:
        """The environment as a dict."""
        return dict(text.split("=", 1) for text in self.environment)


def read_job(path: str) -> Job:
    """Reads a job description. Raises: UserError naming the file and the key."""
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: is not TOML: {error}") from None
    where = data.get("where")
    kinds = list(schema.variants(schema.field_types(Job)["where"]))
    if not isinstance(where, dict) or schema.VARIANT not in where:
        raise UserError(f"{path}: has no [where] with class = one of {', '.join(map(repr, kinds))}")
    try:
        job = schema.from_json(data, Job, "job")
        job.check()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return job


def tpu(where: TpuVm | Gke) -> topology.Topology:
    """Returns the slices of a job."""
    return topology.parse(where.topology, where.slices)


def chips(where: Where) -> int:
    """Returns how many chips or GPUs are paid for; 0 on this machine."""
    match where:
        case TpuVm() | Gke():
            found = tpu(where)
            return found.devices // found.generation.cores
        case Kubernetes() | Slurm():
            return where.nodes * where.gpus_per_node
    return 0


def _check_tpu(given: TpuVm | Gke, where: str) -> None:
    try:
        found = topology.parse(given.topology, given.slices)
    except UserError as error:
        raise UserError(f"{where}.topology: {str(error).partition(': ')[2]}") from None
    if found.generation.platform != "tpu":
        raise UserError(f"{where}.topology: {given.topology} is no TPU")
    if given.slices < 1:
        raise UserError(f"{where}.slices: must be at least 1, got {given.slices}")
    if given.spot and given.reservation:
        raise UserError(f"{where}.spot: what is reserved is not spot; give one of the two")


def _seconds(time: str) -> int | None:
    """Reads a time as sbatch does (M, M:SS, H:MM:SS, D-H, D-H:MM, D-H:MM:SS); None where it is none."""
    days, dash, clock = time.rpartition("-")
    if not re.fullmatch(r"\d+(:[0-5]\d){0,2}", clock) or (dash and not days.isdecimal()):
        return None
    parts = [int(part) for part in clock.split(":")]
    if dash:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        if hours >= 24:
            return None
    else:
        hours, minutes, seconds = (0, *parts, 0) if len(parts) == 1 else (0, *parts)[-3:]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _check_counts(where, names: tuple[str, ...], prefix: str) -> None:
    for name in names:
        if getattr(where, name) < 1:
            raise UserError(f"{prefix}.{name}: must be at least 1, got {getattr(where, name)}")
