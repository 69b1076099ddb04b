"""`t2t supervise -- train ...`: runs it, here in one or several processes, until it has ended."""

from t2t.commands.options import at_least
from t2t.errors import Failure, Interrupted, UserError

TAKES_COMMAND = True


def add_arguments(parser) -> None:
    parser.usage = (
        "t2t supervise [--processes=N] [--restarts=N] -- train --config=... --workdir=..."
    )
    parser.add_argument(
        "--processes",
        type=at_least(1),
        default=1,
        help="processes on this machine, which find each other over loopback (default: 1)",
    )
    parser.add_argument(
        "--restarts",
        type=at_least(0),
        default=5,
        help="attempts in a row without a new checkpoint before giving up (default: 5)",
    )
    parser.add_argument(
        "--longest-wait",
        type=at_least(0),
        default=60,
        metavar="SECONDS",
        help="before an attempt: 1 s, then doubled up to this (default: 60)",
    )
    parser.add_argument(
        "--stop-timeout",
        type=at_least(1),
        default=300,
        metavar="SECONDS",
        help="to save and leave once asked to stop, then they are killed (default: 300)",
    )


def execute(options, overrides) -> None:
    from t2t.launch.supervisor import Patience, supervise

    if not options.command:
        raise UserError("supervise: give the command after --, as in: t2t supervise -- train ...")
    patience = Patience(
        options.restarts, longest_wait=options.longest_wait, stop=options.stop_timeout
    )
    code = supervise(options.command, options.processes, patience)
    if code == 2:
        raise UserError("what was given is wrong (see above); it is not tried again")
    if code == Interrupted.code:
        raise Interrupted("stopped before its end, with everything saved; the same command goes on")
    if code:
        raise Failure("the run did not end (see above); the same command goes on with it")
