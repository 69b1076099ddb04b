"""Every family at its tiny size, trained on the same books: a table, a row of RESULTS.md and a plot.

    python -m benchmarks.families                                # all of them, one after the other
    python -m benchmarks.families --families=t5_1_1,ul2 --steps=50

Each trains by `t2t train --config=FAMILY:tiny` in a process of its own, in `--workdir`; one that is
finished there is not trained again. The losses are of the held-out book, in nat a predicted token,
before the first step and after the last. Beside them stands what the best predictor that cannot see
its input would have on those very targets (the unigram distribution in hindsight, sentinels free; of
masked text it sees what stands at the place itself): every family must end under it. FLOPs are matrix products of one step (t2t/monitoring/flops.py).
"""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys

from benchmarks import book_spans, results
from t2t import tiny_books

# All but turing_nlg, whose tiny size is megatron_gpt's, and flan, which learns tasks.
FAMILIES = ("t5_1_0", "t5_1_1", "mt5", "umt5", "byt5", "ul2", "lm_adapt")
FAMILIES += ("switch", "t5gemma")
FAMILIES += (
    "bert",
    "roberta",
    "albert",
    "megatron_bert",
    "electra",
    "distilbert",
    "ernie",
    "ernie2",
    "xlnet",
    "gpt2",
    "gpt3",
    "megatron_gpt",
    "llama",
)
HELD_OUT = "books_held_out"
HEAD = ("family", "parameters", "blind", "before", "after", "tokens/s", "GFLOP/step")


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a family's run gave. losses: of the held-out book, by step; last: all means of the last."""

    family: str
    parameters: int
    blind: float
    losses: dict[int, float]
    tokens_per_second: float
    step_flops: int
    last: dict[str, float]

    def fails(self) -> str:
        """What it should have learnt and has not, or nothing."""
        if self.last["loss"] >= self.blind:
            return "is not under the input-blind baseline"
        if "original_share" in self.last and (
            self.last["replaced_accuracy"] <= self.last["original_share"]
        ):
            return "tells replaced tokens no better than who says that there are none"
        return ""

    def cells(self) -> tuple[str, ...]:
        losses = list(self.losses.values())
        return (
            self.family,
            f"{self.parameters:,}",
            f"{self.blind:.3f}",
            f"{losses[0]:.3f}",
            f"{losses[-1]:.3f}",
            f"{self.tokens_per_second:,.0f}",
            f"{self.step_flops / 1e9:.1f}",
        )


def train(family: str, folder: pathlib.Path, steps: int | None) -> None:
    """Trains a family in its folder, or goes on with it. Raises: SystemExit where that fails."""
    command = [sys.executable, "-m", "t2t.cli", "train", f"--config={family}:tiny"]
    command += [f"--workdir={folder}"]
    command += [f"--config.training.steps={steps}"] if steps else []
    if family == "distilbert":
        teacher = folder.parent / "bert"
        if not (teacher / "config.json").exists():
            raise SystemExit(f"distilbert: its teacher is bert, which {teacher} does not hold yet")
        command += [f"--config.teacher.source=FromRun({str(teacher)!r})"]
    if family in ("ernie", "ernie2"):
        spans = str(folder.parent / "book_spans.jsonl")
        book_spans.write(tiny_books.BOOKS, spans)
        command += [f"--config.data.train.corpora[0].source.paths={spans}"]
        command += [f"--config.data.evaluation[0].source.paths={spans}"]
    done = subprocess.run(command)
    if done.returncode:
        raise SystemExit(f"{family}: t2t train ended with exit code {done.returncode}")


def figures(family: str, folder: pathlib.Path) -> Figures:
    """Reads what the run in `folder` wrote, and computes what needs no training."""
    import math

    import jax
    import numpy as np

    from t2t import run as runs
    from t2t.models.transformer import build
    from t2t.monitoring import flops
    from t2t.objectives.implementations import implementation
    from t2t.training import heldout
    from t2t.training.inputs import open_inputs
    from t2t.wiring.choice import wired

    run = runs.load_saved(str(folder))
    inputs = open_inputs(run, lambda text: None, workdir=str(folder))
    samples, vocabulary = inputs.heldout[HELD_OUT], inputs.tokenizer.vocabulary
    count = min(run.evaluation.batches or samples.batches, samples.batches)
    blind = heldout.input_blind_loss(
        (samples.batch_at(step) for step in range(count)),
        np.array([*vocabulary.sentinels, vocabulary.eos_id]),
        vocabulary.mask_id if run.objective.shows_places else None,
    )
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    held_out = [row for row in rows if row["split"] == f"eval/{HELD_OUT}"]
    speeds = [row["tokens_per_second"] for row in rows if row["split"] == "train"]
    lengths = implementation(run.posed).lengths(run.posed)
    return Figures(
        family,
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(wired(run, build)[0].shapes)),
        blind,
        {row["step"]: row["loss"] for row in held_out},
        statistics.median(speeds),
        flops.run_flops(run, *lengths, rows=run.data.batch_size),
        held_out[-1],
    )


def plot(found: list[Figures], path: pathlib.Path) -> None:
    """Draws the held-out losses, each relative to its own input-blind baseline (the line at 0)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 7))
    # Ten colours in three strokes: more families than colours that the eye tells apart.
    for number, one in enumerate(found):
        style = {"color": f"C{number % 10}", "linestyle": ("-", "--", ":")[number // 10 % 3]}
        relative = [loss - one.blind for loss in one.losses.values()]
        axes.plot(list(one.losses), relative, marker="o", label=one.family, **style)
    axes.axhline(0, color="black", linewidth=1)
    # Before the first step losses are several nat over it, some of them thirty.
    axes.set(
        xlabel="step",
        ylabel="held-out loss less the input-blind baseline, nat a token",
        ylim=(min(min(one.losses.values()) - one.blind for one in found) - 0.2, 3.0),
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", default=",".join(FAMILIES), help="a subset, by comma")
    parser.add_argument("--steps", type=int, help="instead of each recipe's own")
    parser.add_argument("--workdir", type=pathlib.Path, default=pathlib.Path("runs/families"))
    parser.add_argument(
        "--plot", type=pathlib.Path, default=pathlib.Path(__file__).with_suffix(".png")
    )
    results.add_argument(parser)
    options = parser.parse_args()
    names = options.families.split(",")
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        parser.error(f"no family {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    if not importlib.util.find_spec("matplotlib"):  # known before hours of training
        parser.error("the plot needs matplotlib; `make bench-environment` installs it")
    found = []
    for family in names:
        train(family, options.workdir / family, options.steps)
        found.append(figures(family, options.workdir / family))
    rows = [one.cells() for one in found]
    results.show("held-out loss, nat a predicted token", rows, HEAD)
    results.append(
        "families",
        results.machine(),
        results.versions("jax", "flax"),
        "; ".join(
            f"{family} {parameters} parameters: {before} → **{after}** (input-blind {blind}), "
            f"{speed} tokens/s, {work} GFLOP/step"
            for family, parameters, blind, before, after, speed, work in rows
        ),
        options.results,
    )
    plot(found, options.plot)
    failed = [f"{one.family} {one.fails()}" for one in found if one.fails()]
    if failed:
        raise SystemExit("; ".join(failed))


if __name__ == "__main__":
    main()
