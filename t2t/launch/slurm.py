"""An sbatch script: one process a node, supervised; before its time is over the run queues again."""

import shlex

from t2t.errors import Interrupted
from t2t.launch.job import SAVE_SECONDS, Job


def script(job: Job) -> str:
    """Returns the script that `sbatch` takes."""
    where = job.where
    options = {
        "job-name": job.name,
        "nodes": where.nodes,
        "ntasks-per-node": 1,
        "gpus-per-node": where.gpus_per_node,
        "cpus-per-task": where.cpus_per_node,
        "time": where.time,
        "partition": where.partition,
        "account": where.account,
        "output": f"{job.name}-%j.log",
        "open-mode": "append",
        "signal": f"TERM@{SAVE_SECONDS}",
    }
    lines = ["#!/bin/bash"]
    lines += [f"#SBATCH --{key}={value}" for key, value in options.items() if value]
    lines += ["#SBATCH --exclusive", "#SBATCH --requeue", "set -euo pipefail", ""]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in job.variables.items()]
    if where.setup:
        lines.append(where.setup)
    container = f" --container-image={shlex.quote(where.container)}" if where.container else ""
    command = shlex.join(["t2t", *job.supervised])
    lines += [
        "",
        "# Every task is a supervisor: what fails on one node ends all, and all start again.",
        "code=0",
        f"srun --label --kill-on-bad-exit=0{container} \\",
        f"  {command} || code=$?",
        f'if [ "$code" -eq {Interrupted.code} ]; then  # stopped before its end, everything saved',
        '  scontrol requeue "$SLURM_JOB_ID"',
        "fi",
        'exit "$code"',
    ]
    return "\n".join(lines) + "\n"
