"""Every family on the same tasks: its pre-trained run fine-tuned, or asked as it is, in one table.

    python -m benchmarks.judged runs/families --data=../shared/data/tasks
    python -m benchmarks.judged runs/families --data=DIR --families=bert,gpt2 --tasks=boolq --steps=50

RUNS holds a run of each family under its name (`python -m benchmarks.families` makes them); nothing
is written there. A task with a training split in DIR is trained on by
`t2t train --config=finetune:TASK:RUN`, any other is asked of the run as it is; both are judged by
`t2t eval` with its bootstrap interval. Encoders alone are fine-tuned with a classifier (or one that
points, on SQuAD) and asked as they are by label words at masks, XLNet by its queries, ELECTRA by what
looks replaced. What is finished in `--workdir` is not done again. Rows of a batch are packed, so that
a family whose tokens are short (bytes) sees fewer examples a step; all have the same number of steps.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys

from benchmarks import results
from benchmarks.families import FAMILIES
from t2t import run as runs
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.models.architecture import DECODER, ENCODER, ENCODER_DECODER
from t2t.tasks import catalog
from t2t.tasks.examples import examples
from t2t.tasks.task import Task
from t2t.training.checkpoint_reading import steps_in
from t2t.training.optimizer_config import AdamW, AdamWScale

TASKS = "sst2_sentences,boolq,glue_rte,squad"
# By stacks: how the answers of a fine-tuned model are read.
WAYS = {ENCODER_DECODER: "text to text", DECODER: "continuation", ENCODER: "classifier"}
# By the optimizer of the run: that of the fine-tuning, and its peak (AdamWScale's is relative to each
# parameter's size).
OPTIMIZERS = {AdamWScale: ("AdamWScale", 0.01), AdamW: ("AdamW(epsilon=1e-6)", 1e-3)}


def has_training(task: Task, data: str) -> bool:
    """Whether the folder holds a training split."""
    try:
        return any(True for _ in examples(task, "train", data, 1))
    except UserError:
        return False


def t2t(verb: str, *arguments: str) -> int:
    """Runs a command of t2t in a process of its own; returns its exit code."""
    return subprocess.run([sys.executable, "-m", "t2t.cli", verb, *arguments]).returncode


def linked(run: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Returns a folder that holds the run, by links, and has predictions of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in run.iterdir():
        link = folder / part.name
        if part.name not in ("predictions", "report.html") and not link.exists():
            link.symlink_to(part.resolve())
    return folder


def tuned(
    task: Task, run: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace
) -> pathlib.Path:
    """Fine-tunes a run in the folder, or goes on with it. Raises: SystemExit where that fails."""
    if options.steps in steps_in(f"{folder}/checkpoints"):
        return folder
    length = options.length
    base = runs.load_saved(str(run))
    optimizer, rate = OPTIMIZERS[type(base.optimizer)]
    # Of several labels in a row; a decoder alone reads its targets in one row with its inputs.
    targets = 16 if base.model.stacks == DECODER else length // 4
    more = [f"objective=TextToText({length},{targets})"]
    if base.model.stacks == ENCODER:
        more = [f"objective.length={length}"]
    windows = task.extractive and base.model.stacks == ENCODER
    settings = [
        *more,
        f"data.train.corpora[0].source.data={options.data}",
        f"data.evaluation[0].source.data={options.data}",
        f"data.order={'shuffled' if windows else 'packed'}",
        f"data.batch_size={options.rows}",
        f"optimizer={optimizer}",
        f"schedule=Linear({rate},warmup_steps={options.steps // 10})",
        f"training.steps={options.steps}",
        f"evaluation.every_steps={options.steps}",
        "evaluation.batches=8",
        f"checkpoints.every_steps={options.steps}",
        "checkpoints.keep_best=0",
        "monitoring.tensorboard=false",
    ]
    given = [f"--config.{setting}" for setting in settings]
    if t2t("train", f"--config=finetune:{task.name}:{run}", f"--workdir={folder}", *given):
        raise SystemExit(f"{run.name}: t2t train failed on {task.name}")
    return folder


def judged(task: Task, folder: pathlib.Path, options: argparse.Namespace, rank: bool) -> str:
    """Judges the newest checkpoint, if that is not done yet; returns its scores with their intervals, or
    "-" where the model cannot be asked."""
    step = steps_in(f"{folder}/checkpoints")[-1]
    name = ".".join(filter(None, (task.name, Judging(limit=options.limit, rank=rank).variant)))
    found = folder / "predictions" / name / f"{step}.json"
    given = [f"--workdir={folder}", f"--tasks={task.name}", f"--data={options.data}"]
    given += ["--batch-size=64", *([f"--limit={options.limit}"] if options.limit else [])]
    if not found.exists() and (code := t2t("eval", *given, *["--rank"] * rank)):
        if code == 2:  # one line has said why
            return "-"
        raise SystemExit(f"{folder}: t2t eval failed on {task.name}")
    told = json.loads(found.read_text())
    return " / ".join(
        f"{value:.1f} ({told['intervals'][score][0]:.1f} to {told['intervals'][score][1]:.1f})"
        for score, value in told["scores"].items()
    )


def cell(task: Task, run: pathlib.Path, options: argparse.Namespace) -> str:
    """Returns what the table says of a family on a task."""
    if has_training(task, options.data):
        folder = tuned(task, run, options.workdir / f"{run.name}-{task.name}", options)
        return judged(task, folder, options, rank=False)
    folder = linked(run, options.workdir / run.name)
    writes = runs.load_saved(str(run)).model.stacks != ENCODER
    return judged(task, folder, options, rank=bool(task.labels) and writes)


def headed(task: Task, data: str) -> str:
    """Returns the head of a task's column: how it is asked, and what the commonest answer scores."""
    asked = "" if has_training(task, data) else ", as it is"
    if not task.labels:
        return f"{task.name}{asked}"
    counts = collections.Counter(one.target for one in examples(task, task.judged, data))
    return f"{task.name}{asked} (majority {max(counts.values()) / counts.total():.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=pathlib.Path, help="a folder with a run of each family")
    parser.add_argument("--data", required=True, help="the folder of published files")
    parser.add_argument("--families", default=",".join(FAMILIES), help="a subset, by comma")
    parser.add_argument("--tasks", default=TASKS, help=f"names of `t2t tasks` ({TASKS})")
    parser.add_argument("--steps", type=int, default=300, help="of fine-tuning (300)")
    parser.add_argument("--length", type=int, default=256, help="tokens of a row (256)")
    parser.add_argument("--rows", type=int, default=8, help="rows a step (8)")
    parser.add_argument("--limit", type=int, default=0, help="only the first examples (0: all)")
    parser.add_argument("--workdir", type=pathlib.Path, default=pathlib.Path("runs/judged"))
    results.add_argument(parser)
    options = parser.parse_args()
    names = options.families.split(",")
    if missing := [name for name in names if not (options.runs / name / "config.json").exists()]:
        parser.error(f"{options.runs} holds no run of {', '.join(missing)}")
    try:
        tasks = [catalog.find(name) for name in options.tasks.split(",")]
        head = ("family", "read by", *(headed(task, options.data) for task in tasks))
    except UserError as error:
        parser.error(str(error))
    rows = []
    for name in names:
        run = (options.runs / name).resolve()
        way = WAYS[runs.load_saved(str(run)).model.stacks]
        rows.append((name, way, *(cell(task, run, options) for task in tasks)))
        results.show("scores with their 95% intervals", rows[-1:], head)
    results.show("scores with their 95% intervals", rows, head)
    results.append(
        "judged",
        results.machine(),
        results.versions("jax", "flax"),
        f"{options.steps} steps of {options.rows} rows of {options.length}"
        f"{f', the first {options.limit} of each' if options.limit else ''}; "
        f"{', '.join(head[2:])}: "
        + "; ".join(f"{' '.join(row[:2])} {', '.join(row[2:])}" for row in rows),
        options.results,
    )


if __name__ == "__main__":
    main()
