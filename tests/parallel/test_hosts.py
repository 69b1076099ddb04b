"""Where a process stands: options, launchers, SLURM and TPUs, each as they really say it."""

import http.server
import threading

import pytest

from t2t.errors import UserError
from t2t.parallel.hosts import Place, find, first_of_nodelist


def test_alone_where_nothing_says_otherwise():
    assert find(environment={}) is None


def test_the_command_line_comes_first_and_its_options_go_together():
    env = {"T2T_COORDINATOR": "x:1", "T2T_PROCESSES": "9", "T2T_PROCESS": "8"}
    assert find("10.0.0.1:99", 4, 0, env) == Place(0, 4, "10.0.0.1:99", "the command line")
    assert find(processes=1, environment=env) is None
    with pytest.raises(UserError, match="--processes, --process-id: must be given too"):
        find("10.0.0.1:99", environment={})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("10.0.0.1", 2, 0), "HOST:PORT, not '10.0.0.1'"),
        (("10.0.0.1:0", 2, 0), "port 0 is not in"),
        (("10.0.0.1:99", 2, 2), "process 2 of 2: they count from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said):
    with pytest.raises(UserError, match=said):
        find(*arguments, environment={})


def test_an_address_of_version_6_keeps_its_brackets():
    place = find("[fd00::1]:99", 2, 1, {})
    assert place.address == ("fd00::1", 99) and place.jax_coordinator == "[fd00::1]:100"


def test_a_launcher_or_an_indexed_job():
    env = {"T2T_COORDINATOR": "job-0-0.job:8476", "T2T_PROCESSES": "4"}
    assert find(environment={**env, "T2T_PROCESS": "3"}).process == 3
    assert find(environment={**env, "JOB_COMPLETION_INDEX": "2"}).process == 2
    with pytest.raises(UserError, match="T2T_PROCESS"):
        find(environment=env)


def test_a_step_of_slurm():
    env = {
        "SLURM_JOB_ID": "123456",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_PROCID": "3",
        "SLURM_STEP_NODELIST": "gpu[007-010]",
        "SLURM_STEP_TASKS_PER_NODE": "1(x4)",
        "SLURM_LOCALID": "0",
    }
    place = find(environment=env)
    assert (place.process, place.processes, place.devices) == (3, 4, None)
    assert place.address == ("gpu007", 61440 + 2 * (123456 % 2000))
    shared = find(environment={**env, "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_LOCALID": "1"})
    assert shared.devices == (1,)
    assert find(environment={**env, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a", "a"), ("a,b", "a"), ("n[001-004,9],b", "n001"), ("n[3,7]", "n3"), ("r[1-2]x,y", "r1x")],
)
def test_the_first_node(nodes, first):
    assert first_of_nodelist(nodes) == first


@pytest.fixture
def metadata():
    """A metadata server as on a TPU VM; yields (its address, its attributes)."""
    attributes: dict[str, str] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            key = self.path.removeprefix("/computeMetadata/v1/instance/attributes/")
            found = attributes.get(key) if self.headers["Metadata-Flavor"] == "Google" else None
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write((found or "").encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", attributes
    server.shutdown()


def test_tpu_vms_of_two_slices(metadata):
    address, attributes = metadata
    env = {"GCE_METADATA_IP": address}
    assert find(environment=env) is None, "a machine that is no TPU VM"
    attributes["agent-worker-number"] = "1"
    attributes["worker-network-endpoints"] = "a:0:10.0.0.4,b:1:10.0.0.5"
    assert find(environment=env) == Place(1, 2, "10.0.0.4:8476", "TPU metadata")
    attributes["tpu-env"] = (
        "ZONE: 'us-east5-b'\nMEGASCALE_NUM_SLICES: '2'\nMEGASCALE_SLICE_ID: '1'\n"
        "MEGASCALE_COORDINATOR_ADDRESS: '10.0.0.4:8080'\n"
    )
    attributes["worker-network-endpoints"] = "c,d"
    found = find(environment=env)
    assert (found.process, found.processes, found.coordinator) == (3, 4, "10.0.0.4:8476")
    assert found.source == "TPU metadata, slice 2 of 2"
    attributes["tpu-env"], attributes["worker-network-endpoints"] = "", "only"
    attributes["agent-worker-number"] = "0"
    assert find(environment=env) is None, "one host needs no other"


def test_tpus_on_gke():
    env = {
        "GCE_METADATA_IP": "is not asked",
        "TPU_WORKER_ID": "1",
        "TPU_WORKER_HOSTNAMES": "t-0-0.t,t-0-1.t",
    }
    assert find(environment=env) == Place(1, 2, "t-0-0.t:8476", "GKE")
    assert find(environment={**env, "JAX_PLATFORMS": "cpu"}) is None
