"""Every family at its tiny size, trained on the same books: a table, a row of RESULTS.md and a plot.

    python -m benchmarks.families                                # all of them, one after the other
    python -m benchmarks.families --families=t5_1_1,ul2 --steps=50

Each trains by `t2t train --config=FAMILY:tiny` in a process of its own, in `--workdir`; one that is
finished there is not trained again. The losses are of the held-out book, in nat a predicted token,
before the first step and after the last. Beside them stands what the best predictor that cannot see
its input would have on those very targets (the unigram distribution in hindsight, sentinels free; of
masked text it sees what stands at the place itself): every family must end under it. FLOPs are matrix products of one step (t2t/monitoring/flops.py).

Some families promise more, which the last column shows and the exit code tells too: ELECTRA tells replaced
tokens, Switch's experts are asked for by not much more than their share of the tokens, DistilBERT predicts
more as its teacher does than the same student trained alone, and XLNet's loss is lower with a memory than
without. Those two are trained once more for as many steps, as `FAMILY_control`; `--no-controls` leaves
that out.
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
HEAD = ("family", "parameters", "blind", "before", "after", "tokens/s", "GFLOP/step", "beside")


@dataclasses.dataclass(frozen=True)
class Control:
    """The same run without what a family is for. metric: of the held-out book, to be higher in it."""

    without: str
    overrides: tuple[str, ...]
    metric: str


CONTROLS = {
    "distilbert": Control(
        "teacher",
        ("--config.teacher.divergence_weight=0", "--config.teacher.cosine_weight=0"),
        "teacher_divergence",
    ),
    "xlnet": Control("memory", ("--config.objective.memory=0",), "loss"),
}
# Of an expert's equal share of a layer's tokens: without the balance loss one is soon asked for by all.
FULLEST = 2.0


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a family's run gave. losses: of the held-out book, by step; last: all means of the last.

    experts: how many there are, or 0; control: the last value of its control's metric, None: not run.
    """

    family: str
    parameters: int
    blind: float
    losses: dict[int, float]
    tokens_per_second: float
    step_flops: int
    last: dict[str, float]
    experts: int = 0
    control: float | None = None

    def fails(self) -> str:
        """What it should have learnt and has not, or nothing."""
        if self.last["loss"] >= self.blind:
            return "is not under the input-blind baseline"
        if "original_share" in self.last and (
            self.last["replaced_accuracy"] <= self.last["original_share"]
        ):
            return "tells replaced tokens no better than who says that there are none"
        if self.experts and self.last["fullest_expert"] > FULLEST / self.experts:
            return f"has an expert that is asked for by over {FULLEST:g} times its share of tokens"
        if self.control is not None:
            control = CONTROLS[self.family]
            if self.last[control.metric] >= self.control:
                return f"has no lower {control.metric} than without its {control.without}"
        return ""

    def beside(self) -> str:
        """What it has learnt besides predicting, in words."""
        if "original_share" in self.last:
            told, none = self.last["replaced_accuracy"], self.last["original_share"]
            return f"tells replaced tokens {told:.3f} (none replaced: {none:.3f})"
        if self.experts:
            fullest, share = self.last["fullest_expert"], 1 / self.experts
            return f"fullest expert {fullest:.2f} of a layer's tokens (equal: {share:.2f})"
        if self.family in CONTROLS:
            control = CONTROLS[self.family]
            alone = "not run" if self.control is None else f"{self.control:.3f}"
            return (
                f"{control.metric} {self.last[control.metric]:.3f} (no {control.without}: {alone})"
            )
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
            self.beside(),
        )


def train(
    family: str, folder: pathlib.Path, steps: int | None, overrides: tuple[str, ...] = ()
) -> None:
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
    command += overrides
    done = subprocess.run(command)
    if done.returncode:
        raise SystemExit(f"{family}: t2t train ended with exit code {done.returncode}")


def control_of(family: str, folder: pathlib.Path, steps: int | None) -> float | None:
    """Trains a family's control beside its folder; returns what its metric ended with, None: it has none."""
    if family not in CONTROLS:
        return None
    control = CONTROLS[family]
    beside = folder.with_name(f"{family}_control")
    train(family, beside, steps, control.overrides)
    return held_out_rows(beside)[-1][control.metric]


def rows_of(folder: pathlib.Path) -> list[dict]:
    """Returns what a run has measured, in order."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def held_out_rows(folder: pathlib.Path) -> list[dict]:
    """Returns what a run has measured on the held-out book, in order."""
    return [row for row in rows_of(folder) if row["split"] == f"eval/{HELD_OUT}"]


def figures(family: str, folder: pathlib.Path, control: float | None = None) -> Figures:
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
    held_out = held_out_rows(folder)
    speeds = [row["tokens_per_second"] for row in rows_of(folder) if row["split"] == "train"]
    lengths = implementation(run.posed).lengths(run.posed)
    return Figures(
        family,
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(wired(run, build)[0].shapes)),
        blind,
        {row["step"]: row["loss"] for row in held_out},
        statistics.median(speeds),
        flops.run_flops(run, *lengths, rows=run.data.batch_size),
        held_out[-1],
        run.model.experts,
        control,
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
    parser.add_argument(
        "--controls",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="train DistilBERT without its teacher and XLNet without a memory too (default: yes)",
    )
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
        folder = options.workdir / family
        train(family, folder, options.steps)
        control = control_of(family, folder, options.steps) if options.controls else None
        found.append(figures(family, folder, control))
    rows = [one.cells() for one in found]
    results.show("held-out loss, nat a predicted token", rows, HEAD)
    results.append(
        "families",
        results.machine(),
        results.versions("jax", "flax"),
        "; ".join(
            f"{family} {parameters} parameters: {before} → **{after}** (input-blind {blind}), "
            f"{speed} tokens/s, {work} GFLOP/step" + (f", {beside}" if beside else "")
            for family, parameters, blind, before, after, speed, work, beside in rows
        ),
        options.results,
    )
    plot(found, options.plot)
    failed = [f"{one.family} {one.fails()}" for one in found if one.fails()]
    if failed:
        raise SystemExit("; ".join(failed))


if __name__ == "__main__":
    main()
