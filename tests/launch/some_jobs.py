"""Jobs that the tests submit, and a shell that runs their scripts."""

import os
import pathlib
import subprocess

from t2t.launch import job as jobs

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


def run_script(text: str, tmp_path: pathlib.Path, environment=None) -> subprocess.CompletedProcess:
    file = tmp_path / "run.sh"
    file.write_text(text)
    return subprocess.run(
        ["/bin/bash", str(file)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
