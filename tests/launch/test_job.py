"""A job's file: what it may say, what it says to submit, what a host is told to run."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from t2t import run as runs
from t2t.cli import main, parse
from t2t.errors import UserError
from t2t.launch import job as jobs
from t2t.launch.submission import submission
from tests.launch.some_jobs import TRAIN, gke, job, tpu

REPOSITORY = pathlib.Path(__file__).parent.parent.parent
SHIPPED = sorted((REPOSITORY / "launch").glob("*.toml"))


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


def test_every_job_that_is_shipped_is_sound(capsys):
    assert {type(jobs.read_job(str(f)).where) for f in SHIPPED} == set(jobs.Where.__args__)
    for file in SHIPPED:
        assert main(["launch", str(file), "--dry-run"]) == 0
        said = capsys.readouterr().out
        assert "# stop it: " in said


SLURM = "name = 'a'\ncommand = ['train', '--workdir=r']\n[where]\nclass = 'Slurm'\nnodes = 1\n"

# Where all hosts of each kind of job find files.
SHARED = {
    jobs.TpuVm: "gs://BUCKET/",
    jobs.Gke: "gs://BUCKET/",
    jobs.Kubernetes: "/data/",
    jobs.Slurm: "/shared/",
}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_run_of_every_job_that_is_shipped_fits_its_machines_and_finds_its_files(file):
    found = jobs.read_job(str(file))
    command, options, overrides = parse(list(found.command))
    assert command.__name__ == "t2t.commands.train"
    run = runs.load(options.config, overrides)
    match found.where:
        case jobs.Local():
            devices = found.where.processes  # of a CPU each
        case jobs.TpuVm() | jobs.Gke():
            devices = jobs.tpu(found.where).devices
            assert run.mesh.replica == found.where.slices
        case _:
            devices = jobs.chips(found.where)
    runs.check_devices(run, devices)
    if isinstance(found.where, jobs.Local):
        return
    assert run.model.d_model % (128 * run.mesh.fsdp) == 0  # see configs/t5_1_1_pods.py
    paths = [options.workdir, run.tokenizer.path]
    for _, corpora in runs.all_corpora(run):
        paths += [path for corpus in corpora for path in corpus.source.paths]
    assert len(paths) >= 4
    assert all(path.startswith(SHARED[type(found.where)]) for path in paths), paths


def test_the_log_is_that_of_one_pod_however_many_there_are():
    """kubectl follows at most five at once; the labels are what the controllers give a pod."""
    nodes = jobs.Kubernetes(16, "t2t", namespace="research")
    for where, labels in (
        (gke(slices=2), "app=t5,{index},jobset.sigs.k8s.io/job-index=0 -n default"),
        (nodes, "app=t5,{index} -n research"),
    ):
        index = "batch.kubernetes.io/job-completion-index=0"
        assert f" -l {labels.format(index=index)} " in submission(job(where)).logs


def test_dry_run_prints_exactly_what_is_submitted(tmp_path, pretend, capsys):
    file = tmp_path / "job.toml"
    file.write_text(
        'name = "a"\nchip_hour = 1.25\n'
        'command = ["train", "--config=quickstart", "--workdir=gs://b/r"]\n'
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
        'name = "a"\ncommand = ["train", "--config=quickstart", "--workdir=/r"]\n'
        '[where]\nclass = "Slurm"\nnodes = 1\n'
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
        'name = "a"\ncommand = ["train", "--config=quickstart", "--workdir=/r"]\n'
        '[where]\nclass = "Slurm"\nnodes = 1\n'
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
        (SLURM + "time = '99:99:99'", "job.where.time: write it as HH:MM:SS or D-HH:MM:SS, not"),
        (SLURM + "time = '1-24'", "job.where.time: write it as HH:MM:SS or D-HH:MM:SS, not"),
        (SLURM + "time = '0:03:00'", "job.where.time: '0:03:00' is 180 s; it must be over 180 s"),
        (SLURM + "time = '2:59'", "job.where.time: '2:59' is 179 s; it must be over 180 s"),
        (
            SLURM + 'partition = "gpu\\n#SBATCH --qos=all"',
            "job.where.partition: 'gpu\\n#SBATCH --qos=all' is more than one line",
        ),
        (SLURM + 'setup = """a\nb"""', "job.where.setup: 'a\\nb' is more than one line"),
        (SLURM + "account = 'a b'", "job.where.account: 'a b' has a space in it"),
        (
            "name = 'a'\ncommand = ['train', \"--workdir=r\\n\"]\n[where]\nclass = 'Local'",
            "job.command[1]: '--workdir=r\\n' is more than one line",
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


@pytest.mark.parametrize(
    "time", ["90", "24:00:00", "99:59:59", "3:01", "2-0", "1-23:59", "7-00:00:00"]
)
def test_times_that_slurm_takes_are_taken(time):
    jobs.Slurm(1, time=time).check("job.where")


def launched(tmp_path, capsys, where: str, *command: str) -> tuple[int, str]:
    """Returns (the exit code, what was printed) of `t2t launch --dry-run`."""
    file = tmp_path / "job.toml"
    file.write_text(f"name = 'a'\ncommand = {['train', *command]}\n[where]\n{where}\n")
    code = main(["launch", str(file), "--dry-run"])
    return code, "".join(capsys.readouterr())


CHIPS = "class = 'Gke'\ntopology = 'v5e:4x4'\nimage = 'i'"
GPUS = "class = 'Slurm'\nnodes = 2"
IN_BUCKET = "--workdir=gs://b/r"
THREE = ["--config=quickstart", IN_BUCKET, "--config.data.batch_size=24"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["--config=quickstrt", IN_BUCKET], "neither a file nor a shipped recipe (did you mean"),
        ([IN_BUCKET], "the following arguments are required: --config"),
        (["--config=quickstart", IN_BUCKET, "--bogus=1"], "unknown option '--bogus=1'"),
        (["--config=quickstart", IN_BUCKET, "--config.training.stps=5"], "config.training.stps"),
        ([*THREE, "--config.mesh.fsdp=3"], "config.mesh.data: the other axes take 3 devices"),
        ([*THREE, "--config.mesh.fsdp=3", "--config.mesh.data=1"], "fsdp=3 makes 3 devices, but"),
        (
            ["--config=quickstart", IN_BUCKET, "--config.data.batch_size=24"],
            "16 does not divide 24",
        ),
        (["--config=quickstart", IN_BUCKET, "--help"], "--help only prints the options"),
        (
            ["--config=finetune:glue_rte", IN_BUCKET, "--start-timeout=0"],
            "must be at least 1, got 0",
        ),
    ],
)
def test_a_command_that_cannot_run_is_not_submitted(command, said, tmp_path, capsys):
    code, text = launched(tmp_path, capsys, CHIPS, *command)
    assert code == 2 and text.count("\n") == 1
    assert text.startswith(f"t2t: {tmp_path}/job.toml: job.command: ") and said in text


def test_the_mesh_is_that_of_all_nodes_but_where_only_the_machine_knows(tmp_path, capsys):
    command = ["--config=quickstart", "--workdir=/r", "--config.mesh.data=8"]
    code, text = launched(tmp_path, capsys, GPUS, *command)
    assert code == 2 and "makes 8 devices, but there are 16" in text
    assert launched(tmp_path, capsys, "class = 'Local'", *command)[0] == 0


@pytest.mark.parametrize(
    "config", ["/cluster/recipe.py", "finetune:glue_rte:gs://bucket/base", "finetune:/there/t.toml"]
)
def test_what_lies_on_the_cluster_alone_is_left_to_it_and_that_is_said(config, tmp_path, capsys):
    code, text = launched(tmp_path, capsys, CHIPS, f"--config={config}", IN_BUCKET)
    assert code == 0
    assert re.search(rf"# not checked: --config={re.escape(config)} .* only where it runs\n", text)
