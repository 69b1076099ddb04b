"""Manifests of Kubernetes: checked by schema, and pods that find each other."""

import jsonschema
import pytest
import yaml

from t2t.launch import heartbeat, kubernetes
from t2t.launch import job as jobs
from t2t.parallel import hosts
from tests.launch.some_jobs import gke, job

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
    livenessProbe=thing(
        exec=thing(["command"], command=many(TEXT)),
        initialDelaySeconds=WHOLE,
        periodSeconds={"type": "integer", "minimum": 1},
        timeoutSeconds={"type": "integer", "minimum": 1},
        failureThreshold={"type": "integer", "minimum": 1},
    ),
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


def named_object(version: str, kind: str, spec: dict) -> dict:
    """The schema of an object of the cluster."""
    return thing(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=METADATA,
        spec=spec,
    )


KINDS = {
    "JobSet": named_object(
        "jobset.x-k8s.io/v1alpha2",
        "JobSet",
        thing(
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
    "Job": named_object(
        "batch/v1",
        "Job",
        JOB_SPEC,
    ),
    "Service": named_object(
        "v1",
        "Service",
        thing(
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
        (gke(topology="v6e:1x1"), 1, 1, "tpu-v6e-slice", "1x1"),
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


@pytest.mark.parametrize("where", [gke(), jobs.Kubernetes(1, "t2t")])
def test_a_pod_whose_supervisor_hangs_is_ended(where):
    """The probe looks at the file that the supervisor in the pod touches, in memory of the pod's own."""
    *_, made = checked(kubernetes.manifest(job(where)))
    spec = made["spec"]
    if "replicatedJobs" in spec:
        spec = spec["replicatedJobs"][0]["template"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    environment = {e["name"]: e["value"] for e in container["env"]}
    command = container["livenessProbe"]["exec"]["command"]
    assert environment[heartbeat.VARIABLE] in command[-1]
    (mount,) = [m for m in container["volumeMounts"] if m["mountPath"] == "/dev/shm"]
    assert environment[heartbeat.VARIABLE].startswith(mount["mountPath"] + "/")
    oldest = int(command[-1].rpartition(" ")[2])
    assert oldest > 10 * heartbeat.SECONDS, "a busy machine is not taken for a hang"


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
