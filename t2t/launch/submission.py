"""What is submitted for a job, by which command, and how it is stopped."""

import shlex
from typing import NamedTuple

from t2t.launch import kubernetes, slurm, tpu_vm
from t2t.launch.job import Gke, Job, Kubernetes, Local, Slurm, TpuVm
from t2t.launch.local import T2T


class Submission(NamedTuple):
    """A command, and the text that it is given on standard input."""

    command: list[str]
    text: str
    stop: str  # a command that stops it
    logs: str  # one that shows its log


def submission(job: Job) -> Submission:
    """Returns exactly what `t2t launch` runs for a job."""
    where = job.where
    match where:
        case Local():
            supervise, *rest = job.supervised
            assignments = [f"{name}={value}" for name, value in job.variables.items()]
            command = [*T2T, supervise, f"--processes={where.processes}", *rest]
            return Submission(
                ["env", *assignments, *command] if assignments else command, "", "Ctrl-C", ""
            )
        case TpuVm():
            place = f"--project={shlex.quote(where.project)} --zone={shlex.quote(where.zone)}"
            first = f"{job.name}-0" if where.slices > 1 else job.name
            return Submission(
                ["bash", "-s"],
                tpu_vm.script(job),
                f"Ctrl-C here, then gcloud compute tpus queued-resources delete {job.name} {place} "
                "--force",
                f"gcloud compute tpus tpu-vm ssh {first} {place} --worker=0 "
                "--command='sudo journalctl -fu google-startup-scripts'",
            )
        case Gke() | Kubernetes():
            kind = "jobset" if isinstance(where, Gke) else "job,service"
            # One pod's log: kubectl follows at most five at a time, and a job may have hundreds.
            labels = {"app": job.name, "batch.kubernetes.io/job-completion-index": "0"}
            if isinstance(where, Gke):
                labels["jobset.sigs.k8s.io/job-index"] = "0"  # the first slice
            first = ",".join(f"{label}={value}" for label, value in labels.items())
            return Submission(
                ["kubectl", "apply", "-f", "-"],
                kubernetes.manifest(job),
                f"kubectl delete {kind} {job.name} -n {where.namespace}",
                f"kubectl logs -f -l {first} -n {where.namespace} --tail=100",
            )
        case Slurm():
            return Submission(
                ["sbatch"],
                slurm.script(job),
                f"scancel --name={job.name}",
                f"tail -f {job.name}-*.log",
            )
