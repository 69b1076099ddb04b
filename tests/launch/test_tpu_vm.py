"""TPU VMs over a pretended cloud: when machines are asked for, kept and given back, and what they say."""

import pathlib
import tomllib

import pytest

from t2t.launch import tpu_vm
from tests.launch.some_jobs import job, run_script, tpu

REPOSITORY = pathlib.Path(__file__).parent.parent.parent


class Cloud:
    """A gcloud that keeps its state in files: a queued resource's state, and the exit code's file."""

    def __init__(self, folder: pathlib.Path, pretend):
        self.folder, self.pretend = folder, pretend
        self.machines, self.verdict = folder / "machines", folder / "verdict"
        self.broken, self.events = folder / "broken", folder / "events"
        self.calls = pretend(
            "gcloud",
            f"""
if [ -f {self.broken} ]; then
  case "$*" in *" $(cat {self.broken}) "*) echo ERROR: no network >&2; rm {self.broken}; exit 1; esac
fi
case "$*" in
  "storage cat "*) [ -f {self.verdict} ] && cat {self.verdict} ;;
  "storage rm "*) [ -f {self.verdict} ] && rm {self.verdict} ;;
  "storage cp - "*) cat > {self.verdict} ;;
  *" describe "*)
    if [ ! -f {self.machines} ]; then
      echo "ERROR: (gcloud.compute.tpus.queued-resources.describe) NOT_FOUND: Resource" >&2; exit 1
    fi
    cat {self.machines} ;;
  *" create "*) echo ACTIVE > {self.machines} ;;
  *" delete "*) rm {self.machines} ;;
esac""",
        )

    def watch(self, *events: str, **where) -> tuple[int, list[str], str]:
        """Runs the script, with an event (a line of shell) each time it sleeps; returns its exit
        code, what it asked for, and what it said to standard error."""
        self.events.write_text("".join(f"{event}\n" for event in events))
        self.pretend(
            "sleep",
            f"""
[ -s {self.events} ] || kill $PPID  # nothing more will happen
cd {self.folder}; event=$(head -1 {self.events}); sed -i 1d {self.events}; eval "$event" """,
        )
        done = run_script(tpu_vm.script(job(tpu(**where))), self.folder)
        made = [line.split() for line in self.calls.read_text().splitlines()]
        asked = [words[3] for words in made if words[2] == "queued-resources"]
        return done.returncode, [what for what in asked if what != "describe"], done.stderr


@pytest.fixture
def cloud(tmp_path, pretend):
    return Cloud(tmp_path, pretend)


def test_machines_are_asked_for_again_and_given_back_at_the_end(cloud):
    code, asked, _ = cloud.watch(
        ":", "echo SUSPENDED > machines", ":", "echo 0 > verdict", spot=True, slices=2
    )
    assert (code, asked) == (0, ["create", "delete", "create", "delete"])
    create = next(line for line in cloud.calls.read_text().splitlines() if " create " in line)
    for option in (
        *("--project=p", "--zone=us-west4-a", "--node-count=2", "--node-prefix=t5", "--spot"),
        *("--accelerator-type=v5litepod-16", "--runtime-version=v2-alpha-tpuv5-lite"),
    ):
        assert option in create.split()


@pytest.mark.parametrize("state", ["ACTIVE", "SUSPENDED"])
def test_a_run_that_ended_while_nobody_watched_gives_its_machines_back(cloud, state):
    cloud.machines.write_text(state)
    cloud.verdict.write_text("1\n")
    assert cloud.watch()[:2] == (1, ["delete"])
    assert cloud.verdict.exists()


def test_watching_goes_on_where_it_was_left(cloud):
    cloud.machines.write_text("ACTIVE")
    assert cloud.watch(":", "echo 0 > verdict")[:2] == (0, ["delete"])


def test_an_earlier_run_does_not_end_a_new_one(cloud):
    cloud.verdict.write_text("2\n")
    assert cloud.watch(":", "echo 0 > verdict")[:2] == (0, ["create", "delete"])


def test_an_earlier_runs_end_that_cannot_be_removed_is_said_before_anything_costs(cloud):
    cloud.verdict.write_text("2\n")
    cloud.broken.write_text("rm")
    code, asked, said = cloud.watch()
    assert (code, asked) == (1, []) and "gs://bucket/run/exit-code: cannot be removed" in said


def test_what_cannot_be_looked_at_is_not_taken_for_gone(cloud):
    cloud.broken.write_text("describe")
    code, asked, said = cloud.watch()
    assert (code, asked, said) == (1, [], "ERROR: no network\n")
    code, asked, said = cloud.watch("echo describe > broken", ":", "echo 0 > verdict")
    assert (code, asked, said) == (0, ["create", "delete"], "ERROR: no network\n")


def test_machines_that_cannot_be_given_back_are_tried_again(cloud):
    code, asked, _ = cloud.watch("echo 0 > verdict; echo delete > broken", ":")
    assert (code, asked) == (0, ["create", "delete", "delete"])
    assert not cloud.machines.exists()


class Host:
    """What a startup script finds on a machine: its commands pretend, and are links to each other."""

    def __init__(self, cloud: Cloud):
        self.cloud, self.home = cloud, cloud.folder / "t2t"
        bin = cloud.folder / "bin"
        links = " ".join(f"ln -s {bin}/{tool} $3/bin/{tool};" for tool in ("pip", "uv"))
        self.tools = {
            "apt-get": "",
            "python3": f"mkdir -p $3/bin; rm -f $3/bin/*; {links}",
            "uv": f"mkdir -p {self.home}/bin; ln -s {bin}/pip {self.home}/bin/pip",
            "pip": f"[[ $* != *t2t* ]] || ln -s {bin}/t2t {self.home}/bin/t2t",
            "curl": "echo 0",
            "t2t": "exit 0",
        }
        cloud.pretend("sleep", "")

    def start(self, **tools: str) -> tuple[int, str | None]:
        """Runs it with some commands otherwise; returns its exit code, and what it said of it."""
        self.calls = {
            tool: self.cloud.pretend(tool, {**self.tools, **tools}[tool]) for tool in self.tools
        }
        text = tpu_vm.startup_script(job(tpu())).replace("/opt/t2t", str(self.home))
        code = run_script(text, self.cloud.folder).returncode
        verdict = self.cloud.verdict
        return code, verdict.read_text().strip() if verdict.exists() else None


@pytest.mark.parametrize(
    ("code", "worker", "said"),
    [
        *[(code, 0, str(code)) for code in (0, 1, 2, 137)],
        *[(code, 0, None) for code in (75, 143)],
        *[(code, 1, None) for code in (0, 1, 75)],
    ],
)
def test_the_first_host_says_how_a_run_ended_unless_it_was_taken_away(cloud, code, worker, said):
    host = Host(cloud)
    assert host.start(t2t=f"exit {code}", curl=f"echo {worker}") == (code, said)
    assert host.calls["apt-get"].read_text().startswith("update")
    assert "t2t[tpu,gcs]" in host.calls["pip"].read_text()
    assert tpu_vm.PYTHONS in host.calls["uv"].read_text()
    installed = host.calls["uv"].read_text()
    host.start(t2t=f"exit {code}")  # the machine starts again: nothing is installed twice
    assert host.calls["uv"].read_text() == installed


@pytest.mark.parametrize("tool", ["apt-get", "python3", "uv", "pip"])
def test_what_cannot_be_installed_is_said_by_any_host_and_the_machines_given_back(cloud, tool):
    host = Host(cloud)
    assert host.start(**{tool: "exit 100", "curl": "echo 3"}) == (2, "2")
    assert not host.calls["t2t"].exists()


def test_what_was_out_of_reach_for_a_moment_is_installed(cloud):
    once = cloud.folder / "once"
    host = Host(cloud)
    assert host.start(uv=f"[ -f {once} ] || {{ touch {once}; exit 1; }}; " + host.tools["uv"]) == (
        *(0, "0"),
    )


def test_the_pythons_are_the_projects():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == tpu_vm.PYTHONS
