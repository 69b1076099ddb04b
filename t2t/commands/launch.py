"""`t2t launch JOB.toml`: start a run on TPU VMs, Kubernetes, SLURM or this machine."""

import shlex
import signal
import subprocess
import sys

from t2t.errors import Failure, Interrupted, UserError


def add_arguments(parser) -> None:
    parser.add_argument("job", metavar="JOB.toml", help="what to run and where (see the README)")
    parser.add_argument(
        "--dry-run", action="store_true", help="print exactly what would be submitted, and stop"
    )


def execute(options, overrides) -> None:
    from t2t.launch.job import chips, read_job
    from t2t.launch.job_command import check_command
    from t2t.launch.submission import submission

    job = read_job(options.job)
    try:
        unchecked = check_command(job)
    except UserError as error:
        raise UserError(f"{options.job}: {error}") from None
    what = submission(job)
    count = chips(job.where)
    notes = [f"stop it: {what.stop}"]
    if what.logs:
        notes.append(f"its log: {what.logs}")
    notes += [f"not checked: {line}" for line in unchecked]
    if count:
        price = job.chip_hour * count
        cost = f", {price:,.2f} {job.currency} an hour" if price else ""
        notes.append(f"paid for while it is there: {count} chips{cost}")
    if options.dry_run:
        print("\n".join(f"# {note}" for note in notes))
        print(f"# {shlex.join(what.command)}" + (" << END" if what.text else ""))
        print(what.text, end="")
        return
    for note in notes:
        print(note, file=sys.stderr, flush=True)
    try:
        code = _run(what.command, what.text)
    except FileNotFoundError:
        raise UserError(
            f"{what.command[0]}: is not installed on this machine; --dry-run prints what to submit "
            "elsewhere"
        ) from None
    if code == 2:
        raise UserError(f"{what.command[0]} refused it (see above)")
    if code == Interrupted.code:
        raise Interrupted("stopped before its end, with everything saved; the same command goes on")
    if code:
        raise Failure(f"{what.command[0]} ended with exit code {code} (see above)")


def _run(command: list[str], text: str) -> int:
    """Runs a command to its end, however long it takes to leave once it is asked to."""
    started = subprocess.Popen(command, stdin=subprocess.PIPE if text else None)

    def hand_on(number: int, _frame) -> None:
        if number == signal.SIGTERM:  # a terminal's Ctrl-C goes to the whole group by itself
            started.send_signal(number)

    old = {n: signal.signal(n, hand_on) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        started.communicate(text.encode() or None)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    return started.returncode
