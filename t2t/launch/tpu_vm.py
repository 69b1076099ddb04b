"""TPU VMs as a queued resource: the script that asks for them, keeps them while the run goes on and
gives them back at its end; and the script that every host runs when it starts."""

import shlex

from t2t.errors import Interrupted
from t2t.launch.job import Job, tpu

PYTHONS = ">=3.11,<3.14"  # that t2t runs on

_TYPES = {"v4": "v4", "v5e": "v5litepod", "v5p": "v5p", "v6e": "v6e"}
_CORES = {"v4": 2, "v5p": 2}  # the types count cores
_RUNTIMES = {
    "v4": "tpu-ubuntu2204-base",
    "v5e": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
}
_HOME = "/opt/t2t"
_LOOK_SECONDS, _TRIES, _WAIT_SECONDS = 60, 3, 30


def accelerator_type(job: Job) -> str:
    """Returns Google Cloud's name of a slice: v5litepod-16, v4-32."""
    found = tpu(job.where)
    name, count = found.generation.name, found.devices // job.where.slices
    return f"{_TYPES[name]}-{count * _CORES.get(name, 1)}"


def startup_script(job: Job) -> str:
    """Returns what every host runs when it starts: install, train, say how it ended.

    Whatever ends it is said, so that the machines are given back, but for a machine's being taken
    away. The images carry Ubuntu 22.04, whose Python is 3.10; where the machine's is not one of
    PYTHONS, uv fetches one that is.
    """
    variables = [f"export {name}={shlex.quote(value)}" for name, value in job.variables.items()]
    command = shlex.join([f"{_HOME}/bin/t2t", *job.supervised])
    exit_file, install = shlex.quote(_exit_file(job)), shlex.quote(job.where.install)
    return (
        "\n".join(
            [
                "#!/bin/bash",
                "set -uo pipefail",
                'export PATH="$PATH:/snap/bin"  # where gcloud is',
                f"export UV_PYTHON_INSTALL_DIR={_HOME}.python UV_CACHE_DIR={_HOME}.cache",
                *variables,
                "",
                "install() {",
                f"  rm -rf {_HOME}",
                "  apt-get update -q",
                "  apt-get install -y -q -o DPkg::Lock::Timeout=300 python3-venv &&",
                f"    python3 -m venv {_HOME}.uv && {_HOME}.uv/bin/pip install -q uv &&",
                f"    {_HOME}.uv/bin/uv venv --seed --python {shlex.quote(PYTHONS)} {_HOME} &&",
                f"    {_HOME}/bin/pip install -q {install}",
                "}",
                "say() {",
                f'  for _ in {{1..{_TRIES}}}; do echo "$1" | gcloud storage cp - {exit_file} && break; '
                f"sleep {_WAIT_SECONDS}; done",
                "}",
                "",
                f"if [ ! -x {_HOME}/bin/t2t ]; then",
                "  tries=1",
                "  until install; do",
                f'    if [ "$tries" -eq {_TRIES} ]; then',
                '      echo "t2t cannot be installed here (see above)"',
                "      say 2",
                "      exit 2",
                "    fi",
                f"    tries=$((tries + 1)); sleep {_WAIT_SECONDS}",
                "  done",
                "fi",
                "code=0",
                f"{command} || code=$?",
                "# The first host says how it ended; machines that are taken away have not ended it.",
                "worker=$(curl -sf --retry 5 -H Metadata-Flavor:Google "
                "http://metadata.google.internal/computeMetadata/v1/instance/attributes/"
                "agent-worker-number) || worker=0",
                'case "$worker:$code" in',
                f"  *:{Interrupted.code} | *:143) ;;  # asked to stop, by SIGTERM",
                '  0:*) say "$code" ;;',
                "esac",
                'exit "$code"',
            ]
        )
        + "\n"
    )


def script(job: Job) -> str:
    """Returns the script that runs here: it may be ended and started again at any time."""
    where = job.where
    place = f"--project={shlex.quote(where.project)} --zone={shlex.quote(where.zone)}"
    resource = "gcloud compute tpus queued-resources"
    nodes = f"--node-count={where.slices} --node-prefix={job.name}"
    options = {
        "accelerator-type": accelerator_type(job),
        "runtime-version": where.runtime or _RUNTIMES[tpu(where).generation.name],
        "reservation": where.reservation,
        "network": where.network,
        "service-account": where.service_account,
    }
    created = " ".join(f"--{k}={shlex.quote(v)}" for k, v in options.items() if v)
    spot = " --spot" if where.spot else ""
    exit_file = shlex.quote(_exit_file(job))
    return f"""#!/bin/bash
set -uo pipefail
startup=$(mktemp) errors=$(mktemp)
trap 'rm -f "$startup" "$errors"' EXIT
cat > "$startup" <<'END_OF_STARTUP'
{startup_script(job)}END_OF_STARTUP

create() {{
  # What an earlier run left is not how this one ends.
  gcloud storage rm {exit_file} 2> /dev/null
  if gcloud storage cat {exit_file} &> /dev/null; then
    echo {exit_file}: cannot be removed >&2
    return 1
  fi
  {resource} create {job.name} {place} \\
    {nodes if where.slices > 1 else f"--node-id={job.name}"} {created}{spot} \\
    --scopes=https://www.googleapis.com/auth/cloud-platform \\
    --metadata-from-file=startup-script="$startup"
}}
delete() {{
  {resource} delete {job.name} {place} --force --quiet
}}
state() {{  # nothing where there are no machines; fails where that cannot be said
  local found
  if found=$({resource} describe {job.name} {place} \\
    --format='value(state.state)' 2> "$errors"); then
    echo "${{found:-UNKNOWN}}"
  else
    grep -q NOT_FOUND "$errors"
  fi
}}

looked='' code=''
while true; do
  if now=$(state); then
    looked=yes
    echo "$(date -u +%FT%TZ) {job.name}: ${{now:-not there}}"
    # Where there are machines the run may have ended while nobody watched.
    if [ -n "$now" ] && [ -z "$code" ] && code=$(gcloud storage cat {exit_file} 2> /dev/null); then
      echo "{job.name} has ended with exit code $code; giving its machines back"
    fi
    if [ -n "$code" ]; then
      if [ -z "$now" ] || delete; then exit "$code"; fi
    else
      case "$now" in
        "") create || exit 1 ;;
        SUSPENDED | FAILED) delete ;;  # taken away, or refused: asked for again in a moment
      esac
    fi
  else
    cat "$errors" >&2
    [ -n "$looked" ] || exit 1
  fi
  sleep {_LOOK_SECONDS}
done
"""


def _exit_file(job: Job) -> str:
    from t2t.launch.supervisor import workdir_of

    return f"{workdir_of(job.command)}/exit-code"
