"""What `benchmarks.families` holds a family to, and that its controls lack one thing alone."""

import json
import pathlib

import pytest

from benchmarks import families
from t2t import cli, schema
from t2t import run as runs

LAST = {
    "electra": {"replaced_accuracy": 0.9, "original_share": 0.85},
    "switch": {"fullest_expert": 0.34},
    "distilbert": {"teacher_divergence": 0.28},
    "xlnet": {},
    "bert": {},
}


def figures(family: str, control: float | None = None, **last: float) -> families.Figures:
    last = {"loss": 4.0, **LAST[family], **last}
    experts = 4 if family == "switch" else 0
    losses = {0: 6.0, 800: last["loss"]}
    return families.Figures(family, 1000, 5.0, losses, 1e3, 10**9, last, experts, control)


@pytest.mark.parametrize(
    "family, good, bad, said, shown",
    [
        ("bert", {}, {"loss": 5.0}, "not under the input-blind baseline", ""),
        ("electra", {}, {"replaced_accuracy": 0.85}, "tells replaced tokens no better", "0.900"),
        ("switch", {}, {"fullest_expert": 0.51}, "over 2 times its share", "0.34 of a layer's"),
        (
            "distilbert",
            {"control": 0.93},
            {"control": 0.28},
            "no lower teacher_divergence than without its teacher",
            "teacher_divergence 0.280 (no teacher: 0.930)",
        ),
        (
            "xlnet",
            {"control": 4.05},
            {"control": 3.99},
            "no lower loss than without its memory",
            "loss 4.000 (no memory: 4.050)",
        ),
    ],
)
def test_what_a_family_promises_is_shown_and_checked(family, good, bad, said, shown):
    one = figures(family, **good)
    assert one.fails() == "" and shown in one.cells()[-1]
    assert len(one.cells()) == len(families.HEAD)
    assert said in figures(family, **bad).fails()
    if "control" in good:  # not run
        assert figures(family).fails() == "" and "not run" in figures(family).cells()[-1]


@pytest.mark.parametrize("family", families.CONTROLS)
def test_a_control_is_the_same_run_but_for_one_thing(family, tmp_path, monkeypatch):
    commands = []

    class Done:
        returncode = 0

    def ran(command: list[str]) -> Done:
        module, options, overrides = cli.parse(command[3:])
        commands.append((options.workdir, runs.load(options.config, overrides)))
        folder = pathlib.Path(options.workdir)
        folder.mkdir(exist_ok=True)
        rows = [{"split": "eval/books_held_out", "step": s, "loss": 4.5 - s} for s in (0, 1)]
        rows = [{**row, "teacher_divergence": 2 * row["loss"]} for row in rows]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return Done()

    monkeypatch.setattr(families.subprocess, "run", ran)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text("{}")
    families.train(family, tmp_path / family, 60)
    found = families.control_of(family, tmp_path / family, 60)
    assert found == (7.0 if family == "distilbert" else 3.5)
    (one, whole), (other, control) = commands
    assert pathlib.Path(other) == tmp_path / f"{family}_control" and one != other
    assert whole.training.steps == control.training.steps == 60
    changed = {
        "distilbert": {"config.teacher.divergence_weight", "config.teacher.cosine_weight"},
        "xlnet": {"config.objective.memory"},
    }
    assert set(schema.difference(whole, control)) == changed[family]
    assert families.control_of("bert", tmp_path / "bert", 60) is None
