"""Which process of how many this one is: from explicit options, a launcher, SLURM, Kubernetes or a TPU."""

import dataclasses
import importlib.util
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping

from t2t.errors import Failure, UserError

PORT = 8476  # of the line between the hosts (`parallel.line`); JAX's coordinator takes the next one
COORDINATOR, PROCESSES, PROCESS = "T2T_COORDINATOR", "T2T_PROCESSES", "T2T_PROCESS"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a process stands among those of its run."""

    process: int
    processes: int
    coordinator: str  # HOST:PORT, where the first process listens
    source: str  # what said so
    devices: tuple[int, ...] | None = None  # of this machine; None: all of them

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.coordinator.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def jax_coordinator(self) -> str:
        host, port = self.coordinator.rpartition(":")[0], self.address[1]
        return f"{host}:{port + 1}"


def find(
    coordinator: str = "",
    processes: int | None = None,
    process: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Place | None:
    """Returns this process's place; None where it runs alone.

    The three options go together and come before everything else; processes=1 alone is for one that
    runs alone whatever the environment says.
    Raises: UserError where they, or a launcher's variables, are incomplete or contradict each other.
    """
    if processes == 1 and not coordinator and process in (None, 0):
        return None
    given = {"--coordinator": coordinator, "--processes": processes, "--process-id": process}
    missing = [name for name, value in given.items() if value in ("", None)]
    if len(missing) < 3:
        if missing:
            raise UserError(
                f"{', '.join(missing)}: must be given too (--coordinator, --processes and "
                "--process-id go together)"
            )
        return _checked(Place(process, processes, coordinator, "the command line"))
    for kind in (_launcher, _slurm, _tpu):
        place = kind(environment)
        if place is not None:
            return _checked(place) if place.processes > 1 else None
    return None


def _checked(place: Place) -> Place:
    where = f"{place.source}: "
    if not re.fullmatch(r"(\[[^\]]+\]|[^:\s]+):\d+", place.coordinator):
        raise UserError(f"{where}the coordinator is HOST:PORT, not {place.coordinator!r}")
    if not 0 < place.address[1] < 65535:
        raise UserError(f"{where}the coordinator's port {place.address[1]} is not in 1 to 65534")
    if not 0 <= place.process < place.processes:
        raise UserError(
            f"{where}process {place.process} of {place.processes}: they count from 0 to "
            f"{place.processes - 1}"
        )
    return place


def _launcher(env: Mapping[str, str]) -> Place | None:
    """What t2t's own launchers set; in an indexed Job of Kubernetes the index is the process."""
    if COORDINATOR not in env:
        return None
    process = env.get(PROCESS) or env.get("JOB_COMPLETION_INDEX", "")
    count = env.get(PROCESSES, "")
    if not process.isdecimal() or not count.isdecimal():
        raise UserError(
            f"{COORDINATOR} is set, and so must be {PROCESSES} (got {count!r}) and {PROCESS} "
            f"(or JOB_COMPLETION_INDEX, of an indexed Job; got {process!r})"
        )
    return Place(int(process), int(count), env[COORDINATOR], f"the environment ({COORDINATOR})")


def _slurm(env: Mapping[str, str]) -> Place | None:
    """A step of SLURM: a task is a process; several on a node share its devices out."""
    names = ("SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST")
    if any(name not in env for name in names):
        return None
    job, tasks, process, nodes = (env[name] for name in names)
    # Two ports of the job's own, so that two jobs on one node do not meet.
    port = 61440 + 2 * (int(job) % 2000)
    per_node = re.match(r"\d+", env.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    devices = None
    if per_node and int(per_node[0]) > 1 and "SLURM_LOCALID" in env:
        devices = (int(env["SLURM_LOCALID"]),)
    return Place(
        int(process), int(tasks), f"{first_of_nodelist(nodes)}:{port}", f"SLURM job {job}", devices
    )


def first_of_nodelist(nodes: str) -> str:
    """Returns the first name of a SLURM node list: `gpu[003-005,9],other` gives `gpu003`."""
    found = re.match(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\]([^,\[]*))?", nodes)
    if not found:
        raise UserError(f"SLURM_STEP_NODELIST={nodes!r}: names no node")
    return found[1] + (found[2] or "") + (found[3] or "")


def _tpu(env: Mapping[str, str]) -> Place | None:
    """A TPU slice, or several: GKE says in the environment what a TPU VM asks the metadata server."""
    if env.get("JAX_PLATFORMS", "") == "cpu" or not _has_tpu(env):
        return None
    workers = env.get("TPU_PROCESS_ADDRESSES") or env.get("TPU_WORKER_HOSTNAMES")
    if workers:
        source, names, number = "GKE", workers.split(","), env.get("TPU_WORKER_ID", "0")
        facts: Mapping[str, str] = env
    elif "TPU_SKIP_MDS_QUERY" in env:
        return None
    else:
        number = _metadata(env, "agent-worker-number")
        if number is None:  # this machine is no TPU VM
            return None
        source = "TPU metadata"
        # Either plain names, or name:id:address.
        endpoints = (_metadata(env, "worker-network-endpoints") or "").split(",")
        names = [endpoint.split(":")[-1] for endpoint in endpoints]
        facts = {**_tpu_env(_metadata(env, "tpu-env") or ""), **env}
    slices = int(facts.get("MEGASCALE_NUM_SLICES") or 1)
    slice_id = int(facts.get("MEGASCALE_SLICE_ID") or 0)
    first = facts.get("MEGASCALE_COORDINATOR_ADDRESS", "").split(":")[0] or names[0].split(":")[0]
    return Place(
        int(number) + slice_id * len(names),
        len(names) * slices,
        f"{first}:{PORT}",
        source if slices == 1 else f"{source}, slice {slice_id + 1} of {slices}",
    )


def _has_tpu(env: Mapping[str, str]) -> bool:
    if "GCE_METADATA_IP" in env:  # somebody points at a metadata server
        return True
    devices = ("/dev/accel0", "/dev/vfio/0", "/dev/vfio/devices/vfio0")
    return importlib.util.find_spec("libtpu") is not None and any(map(os.path.exists, devices))


def _metadata(env: Mapping[str, str], key: str) -> str | None:
    """Returns an attribute of this machine; None where it has none."""
    server = env.get("GCE_METADATA_IP", "metadata.google.internal")
    url = f"http://{server}/computeMetadata/v1/instance/attributes/{key}"
    request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    error: Exception | None = None
    for _ in range(3):
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.read().decode().strip()
        except urllib.error.HTTPError as found:
            if found.code == 404:
                return None
            error = found
        except OSError as found:
            error = found
    raise Failure(
        f"{url}: does not answer ({error}), so the hosts of this TPU cannot be found; try again, or "
        "give --coordinator, --processes and --process-id"
    )


def _tpu_env(text: str) -> dict[str, str]:
    """Reads lines like `MEGASCALE_NUM_SLICES: '2'`."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}
