"""Kubernetes manifests: a JobSet for TPU slices of GKE, an indexed Job for nodes with GPUs.

Inside every pod is the same supervisor as anywhere: it restarts its process with the others', so a
fault costs seconds and no pod. The controller acts where a pod is lost (it makes another, and the
others wait for it), and where the supervisor gives up. Exit code 2, what the user must mend, ends
the job for good. A supervisor that hangs itself is found by its heartbeat, and its pod made anew.
"""

import yaml

from t2t.launch import heartbeat
from t2t.launch.job import Gke, Job, Kubernetes, tpu
from t2t.parallel.hosts import COORDINATOR, PORT, PROCESSES

_ACCELERATORS = {
    "v4": "tpu-v4-podslice",
    "v5e": "tpu-v5-lite-podslice",
    "v5p": "tpu-v5p-slice",
    "v6e": "tpu-v6e-slice",
    "tpu7x": "tpu7x",
}
_HOST_CHIPS = 4
_ONE_HOST = {"v5e": 8, "v6e": 8}  # chips up to which a slice is one machine
_GRACE_SECONDS = 120  # for the last save; what is taken away at a spot price gets 30 at most
_MEGASCALE_PORT = 8080
_HEARTBEAT = "/dev/shm/t2t-heartbeat"
_OLDEST_BEAT_SECONDS = 300
_PROBE = {"initialDelaySeconds": 120, "periodSeconds": 60, "timeoutSeconds": 30}


def manifest(job: Job) -> str:
    """Returns the YAML that `kubectl apply` takes."""
    objects = _jobset(job) if isinstance(job.where, Gke) else _indexed_job(job)
    return "---\n".join(yaml.safe_dump(thing, sort_keys=False, width=100) for thing in objects)


def hosts_and_chips(where: Gke) -> tuple[int, int]:
    """Returns (hosts of a slice, chips of a host)."""
    found = tpu(where)
    count = found.devices // found.generation.cores // where.slices
    if count <= _ONE_HOST.get(found.generation.name, _HOST_CHIPS):
        return 1, count
    return count // _HOST_CHIPS, _HOST_CHIPS


def _jobset(job: Job) -> list[dict]:
    where = job.where
    hosts, count = hosts_and_chips(where)
    name = tpu(where).generation.name
    selector = {
        "cloud.google.com/gke-tpu-accelerator": _ACCELERATORS[name],
        "cloud.google.com/gke-tpu-topology": where.topology.partition(":")[2],
    }
    if where.spot:
        selector["cloud.google.com/gke-spot"] = "true"
    if where.reservation:
        selector["cloud.google.com/reservation-name"] = where.reservation
    pod = _pod(job, {"google.com/tpu": count}, {})
    pod |= {"nodeSelector": selector}
    if where.slices > 1:  # traffic between slices at the speed of the hosts' own network
        pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
        pod["containers"][0]["ports"].append({"containerPort": _MEGASCALE_PORT})
    if where.priority_class:
        pod |= {"priorityClassName": where.priority_class}
    metadata = _metadata(job) | {
        # A slice is a node pool: one Job to each, and nothing else there.
        "annotations": {
            "alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"
        }
    }
    if where.queue:
        metadata["labels"]["kueue.x-k8s.io/queue-name"] = where.queue
    template = {
        "parallelism": hosts,
        "completions": hosts,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "podFailurePolicy": _pod_failures(),
        "template": {"metadata": {"labels": {"app": job.name}}, "spec": pod},
    }
    return [
        {
            "apiVersion": "jobset.x-k8s.io/v1alpha2",
            "kind": "JobSet",
            "metadata": metadata,
            "spec": {
                "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
                "failurePolicy": {
                    "maxRestarts": job.restarts,
                    "rules": [
                        {
                            "name": "user",
                            "action": "FailJobSet",
                            "onJobFailureReasons": ["PodFailurePolicy"],
                        }
                    ],
                },
                "replicatedJobs": [
                    {"name": "slice", "replicas": where.slices, "template": {"spec": template}}
                ],
            },
        }
    ]


def _indexed_job(job: Job) -> list[dict]:
    where = job.where
    several = where.nodes > 1
    address = {
        COORDINATOR: f"{job.name}-0.{job.name}.{where.namespace}.svc:{PORT}",
        PROCESSES: str(where.nodes),
    }
    pod = _pod(job, {where.gpu: where.gpus_per_node}, address if several else {})
    if several:
        pod |= {"subdomain": job.name}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(job),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"app": job.name},
            "ports": [{"name": "line", "port": PORT}, {"name": "jax", "port": PORT + 1}],
        },
    }
    indexed = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(job),
        "spec": {
            "parallelism": where.nodes,
            "completions": where.nodes,
            "completionMode": "Indexed",
            "backoffLimit": job.restarts * where.nodes,
            "podFailurePolicy": _pod_failures(),
            "template": {"metadata": {"labels": {"app": job.name}}, "spec": pod},
        },
    }
    return [service, indexed] if several else [indexed]


def _metadata(job: Job) -> dict:
    return {
        "name": job.name,
        "namespace": job.where.namespace,
        "labels": {"app": job.name},
    }


def _pod_failures() -> dict:
    return {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": "t2t", "operator": "In", "values": [2]},
            },
            {
                "action": "Ignore",  # the machine was taken away: another pod, and no mark against it
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
        ]
    }


def _pod(job: Job, devices: dict[str, int], address: dict[str, str]) -> dict:
    where = job.where
    mounts = [{"name": "shared-memory", "mountPath": "/dev/shm"}]  # of workers that make batches
    volumes: list[dict] = [{"name": "shared-memory", "emptyDir": {"medium": "Memory"}}]
    if isinstance(where, Kubernetes) and where.claim:
        mounts.append({"name": "data", "mountPath": "/data"})
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": where.claim}})
    variables = {**job.variables, **address, heartbeat.VARIABLE: _HEARTBEAT}
    container = {
        "name": "t2t",
        "image": where.image,
        "args": job.supervised,
        "env": [{"name": k, "value": v} for k, v in variables.items()],
        "ports": [{"containerPort": PORT}, {"containerPort": PORT + 1}],
        "resources": {"requests": dict(devices), "limits": dict(devices)},
        "volumeMounts": mounts,
        # Restarts nothing by itself (restartPolicy): the pod fails, and the controller acts.
        "livenessProbe": {
            "exec": {"command": heartbeat.probe(_HEARTBEAT, _OLDEST_BEAT_SECONDS)},
            **_PROBE,
        },
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "containers": [container],
        "volumes": volumes,
    }
    if where.service_account:
        pod["serviceAccountName"] = where.service_account
    return pod
