"""A run with a teacher: begun with its layers, the teacher unchanged, in no checkpoint, read again."""

import dataclasses
import json
import shutil

import numpy as np
import orbax.checkpoint as ocp
import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.data.tokenizer_config import RunTokenizer
from t2t.errors import UserError
from t2t.monitoring import flops
from t2t.objectives.config import MaskedLM
from t2t.training.initial_config import FromRun, FromTeacher
from t2t.training.leaf_names import named_leaves
from t2t.training.schedule_config import Constant
from t2t.training.teacher_config import Teacher
from tests import tiny
from tests.training.test_objectives import ENCODER, WORDPIECE, run_of

OWN = {**ENCODER, "pair_classes": 0, "token_types": 0}


def get_config(arg: str):
    """arg: base:TEXT or student:TEXT:TEACHER'S FOLDER."""
    kind, text, *path = arg.split(":")
    run = run_of(text, MaskedLM(64), {**ENCODER, "encoder_layers": 3}, WORDPIECE)
    if kind == "base":
        return run
    student = run_of(text, MaskedLM(64), {**OWN, "dropout": 0.1}, RunTokenizer())
    student = dataclasses.replace(student, schedule=Constant(peak=1e-2))
    teacher = Teacher(run.model, FromRun(path[0]))
    return dataclasses.replace(student, teacher=teacher, initial=FromTeacher((0, 2)))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return tiny.write_text(tmp_path_factory.mktemp("text"))


def stored(workdir, step: int) -> dict:
    tree = ocp.PyTreeCheckpointer().restore(workdir / "checkpoints" / str(step) / "state")
    return named_leaves(tree)


@pytest.mark.slow
def test_it_is_read_again_at_every_start_and_never_changes(text, tmp_path, capfd):
    recipe, base = tmp_path / "recipe.py", tmp_path / "base"
    recipe.write_text("from tests.training.test_teacher import get_config\n")

    def train(kind, workdir, *more):
        spec = f"{recipe}:{kind}:{text}" + (f":{base}" if kind == "student" else "")
        return main(["train", f"--config={spec}", f"--workdir={workdir}", *more])

    assert train("base", base) == 0
    before = stored(base, 24)
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    frozen = "--config.training.trainable=(?!position_embedding/).*"
    assert train("student", straight, "--config.training.steps=8", frozen) == 0
    assert train("student", parts, "--config.training.steps=4", frozen) == 0
    assert train("student", parts, "--config.training.steps=8", frozen) == 0
    said = capfd.readouterr().err
    assert f"the teacher begins with the parameters of {base}, step 24" in said
    wanted, found = stored(straight, 8), stored(parts, 8)
    assert wanted.keys() == found.keys()
    for name in wanted:
        np.testing.assert_array_equal(wanted[name], found[name], err_msg=name)
    # Two layers of three, no more than the student's own, and no teacher.
    kernel = "params/encoder/layers/feed_forward/wi_0/kernel"
    assert wanted[kernel].shape[0] == 2 and not any("teacher" in name for name in wanted)
    assert "params/position_embedding/table" not in wanted
    assert not any("type_embedding" in name or "pair_head" in name for name in wanted)
    after = stored(base, 24)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    rows = [json.loads(line) for line in (straight / "metrics.jsonl").read_text().splitlines()]
    for name in ("teacher_divergence", "divergence_loss", "cosine_loss"):
        assert all(row[name] > 0 for row in rows), name
    # Other parameters in the teacher's place are refused, and one of another shape.
    shutil.rmtree(base)
    assert train("base", base, "--config.training.seed=9") == 0
    assert train("student", parts, "--config.training.steps=10", frozen) == 2
    assert "t2t: config.teacher.source.path: " in capfd.readouterr().err
    other = (frozen, "--config.teacher.model.d_ff=128", "--config.initial=none")
    assert train("student", tmp_path / "new", *other) == 2
    assert "t2t: config.teacher.model.d_ff: 128 here, 64 in " in capfd.readouterr().err


def test_what_does_not_go_with_a_teacher_is_named(text):
    run = get_config(f"student:{text}:base")
    runs.check(run)
    narrow = dataclasses.replace(run.teacher.model, d_model=16)
    for change, match in (
        ({"teacher": None}, "FromTeacher, and config.teacher is none"),
        (
            {"initial": FromTeacher((0, 3))},
            "config.initial.layers: 3, and the teacher's are 0 to 2",
        ),
        ({"initial": FromTeacher((0,))}, "config.initial.layers: 1 for 2 layers"),
        ({"model": dataclasses.replace(run.model, d_ff=32)}, "config.model.d_ff: 32, and the"),
        ({"teacher": dataclasses.replace(run.teacher, model=narrow)}, "cosine_weight: hidden"),
        ({"teacher": dataclasses.replace(run.teacher, temperature=0.0)}, "temperature: 0.0 is"),
        ({"objective": MaskedLM(64, pairs="sentence_order")}, "pairs='none'|token_types"),
    ):
        with pytest.raises(UserError, match=match):
            runs.check(dataclasses.replace(run, **change))


def test_a_step_costs_a_forward_pass_of_the_teacher_more(text):
    run = get_config(f"student:{text}:base")
    student = flops.train_flops(run.model, 64, 64)
    assert flops.run_flops(run, 64, 10) == student + flops.forward_flops(run.teacher.model, 64, 64)
