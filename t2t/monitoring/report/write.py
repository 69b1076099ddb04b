"""Writing the report: on its own, and at the end of what others do."""

import sys
import time
from collections.abc import Sequence

from t2t.data import files
from t2t.monitoring.report.page import page
from t2t.monitoring.report.record import RunRecord, read_runs

NAME = "report.html"
EXAMPLES = 12  # lines of predictions a task


def write_report(directories: Sequence[str], output: str) -> list[RunRecord]:
    """Draws one or several run directories (local or URLs) into the file `output`.

    Returns what was read. Raises: UserError for a directory that holds no run, Failure where
    something cannot be read or written.
    """
    runs = read_runs(directories, EXAMPLES)
    text = page(runs, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    files.write_bytes(output, text.encode(errors="replace"))
    return runs


def report_at_the_end(workdir: str) -> None:
    """Draws `workdir/report.html` after training or evaluation, in the first process only.

    Whatever goes wrong is said in one line and nothing more: a drawing must not cost what came
    before it its exit code.
    """
    import jax

    if jax.process_index():
        return
    target = f"{workdir}/{NAME}"
    try:
        write_report([workdir], target)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"no report ({text}); t2t report {workdir} tries again", file=sys.stderr, flush=True)
    else:
        print(f"report: {target}", file=sys.stderr, flush=True)
