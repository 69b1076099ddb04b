"""TPU VMs as a queued resource: the script that asks for them, keeps them while the run goes on and
gives them back at its end; and the script that every host runs when it starts."""

import shlex

from t2t.launch.job import Job, tpu

_TYPES = {"v4": "v4", "v5e": "v5litepod", "v5p": "v5p", "v6e": "v6e"}
_CORES = {"v4": 2, "v5p": 2}  # the types count cores
_RUNTIMES = {
    "v4": "tpu-ubuntu2204-base",
    "v5e": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
}
_LOOK_SECONDS = 60


def accelerator_type(job: Job) -> str:
    """Returns Google Cloud's name of a slice: v5litepod-16, v4-32."""
    found = tpu(job.where)
    name, count = found.generation.name, found.devices // job.where.slices
    return f"{_TYPES[name]}-{count * _CORES.get(name, 1)}"


def startup_script(job: Job) -> str:
    """Returns what every host runs when it starts: install, train, say how it ended."""
    variables = [f"export {name}={shlex.quote(value)}" for name, value in job.variables.items()]
    command = shlex.join(["/opt/t2t/bin/t2t", *job.supervised])
    return (
        "\n".join(
            [
                "#!/bin/bash",
                "set -uo pipefail",
                *variables,
                "if [ ! -x /opt/t2t/bin/t2t ]; then",
                "  apt-get install -y -q python3-venv && python3 -m venv /opt/t2t || exit 1",
                f"  /opt/t2t/bin/pip install -q {shlex.quote(job.where.install)} || exit 1",
                "fi",
                "code=0",
                f"{command} || code=$?",
                "# The first host says how it ended; machines that are taken away cannot.",
                "worker=$(curl -s -H Metadata-Flavor:Google "
                "http://metadata.google.internal/computeMetadata/v1/instance/attributes/"
                "agent-worker-number)",
                'if [ "$worker" = 0 ] && { [ "$code" -eq 0 ] || [ "$code" -eq 1 ] || '
                '[ "$code" -eq 2 ]; }; then',
                f'  echo "$code" | gcloud storage cp - {shlex.quote(_exit_file(job))}',
                "fi",
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
startup=$(mktemp)
trap 'rm -f "$startup"' EXIT
cat > "$startup" <<'END_OF_STARTUP'
{startup_script(job)}END_OF_STARTUP

create() {{
  {resource} create {job.name} {place} \\
    {nodes if where.slices > 1 else f"--node-id={job.name}"} {created}{spot} \\
    --scopes=https://www.googleapis.com/auth/cloud-platform \\
    --metadata-from-file=startup-script="$startup"
}}
delete() {{
  {resource} delete {job.name} {place} --force --quiet
}}
state() {{
  {resource} describe {job.name} {place} --format='value(state.state)' 2> /dev/null
}}

gcloud storage rm {exit_file} 2> /dev/null
while true; do
  if code=$(gcloud storage cat {exit_file} 2> /dev/null); then
    echo "{job.name} has ended with exit code $code; giving its machines back"
    delete
    exit "$code"
  fi
  now=$(state)
  echo "$(date -u +%FT%TZ) {job.name}: ${{now:-not there}}"
  case "$now" in
    "") create || exit 1 ;;
    SUSPENDED | FAILED) delete ;;  # taken away, or refused: asked for again in a moment
  esac
  sleep {_LOOK_SECONDS}
done
"""


def _exit_file(job: Job) -> str:
    from t2t.launch.supervisor import workdir_of

    return f"{workdir_of(job.command)}/exit-code"
