"""Predictions as the GLUE and SuperGLUE leaderboards take them: `CoLA.tsv`, `BoolQ.jsonl`, ..."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from t2t.data import files
from t2t.errors import UserError
from t2t.evaluation.judgement import Line


class Form(NamedTuple):
    """A task's file: its name without ending, the benchmark, how many predictions it must hold, and
    a read value as it writes it."""

    name: str
    benchmark: str
    count: int
    written: Callable[[Any], Any]


def _named(*labels: str) -> Callable[[Any], str]:
    return lambda value: labels[value or 0]


def _integer(value: int | None) -> int:
    return value or 0


_ENTAILMENT = _named("entailment", "not_entailment")
_NLI = _named("entailment", "neutral", "contradiction")
_LOWER = _named("false", "true")

FORMS: dict[str, Form] = {
    "glue_cola": Form("CoLA", "GLUE", 1063, _integer),
    "glue_sst2": Form("SST-2", "GLUE", 1821, _integer),
    "glue_mrpc": Form("MRPC", "GLUE", 1725, _integer),
    "glue_qqp": Form("QQP", "GLUE", 390_965, _integer),
    # The leaderboard wants 0 to 5.
    "glue_stsb": Form("STS-B", "GLUE", 1379, lambda v: f"{min(max(v or 0.0, 0.0), 5.0):.3f}"),
    "glue_mnli_matched": Form("MNLI-m", "GLUE", 9796, _NLI),
    "glue_mnli_mismatched": Form("MNLI-mm", "GLUE", 9847, _NLI),
    "glue_qnli": Form("QNLI", "GLUE", 5463, _ENTAILMENT),
    "glue_rte": Form("RTE", "GLUE", 3000, _ENTAILMENT),
    "glue_wnli": Form("WNLI", "GLUE", 146, _integer),
    "glue_wnli_simple": Form("WNLI", "GLUE", 146, _integer),
    "glue_ax": Form("AX", "GLUE", 1104, _NLI),
    "super_glue_boolq": Form("BoolQ", "SuperGLUE", 3245, _LOWER),
    "super_glue_cb": Form("CB", "SuperGLUE", 250, _named("entailment", "contradiction", "neutral")),
    "super_glue_copa": Form("COPA", "SuperGLUE", 500, _integer),
    "super_glue_multirc": Form("MultiRC", "SuperGLUE", 9693, _integer),
    "super_glue_record": Form("ReCoRD", "SuperGLUE", 10_000, lambda v: v or ""),
    "super_glue_rte": Form("RTE", "SuperGLUE", 3000, _ENTAILMENT),
    "super_glue_wic": Form("WiC", "SuperGLUE", 1400, _LOWER),
    "super_glue_wsc": Form("WSC", "SuperGLUE", 146, _named("False", "True")),
    "super_glue_axb": Form("AX-b", "SuperGLUE", 1104, _ENTAILMENT),
    "super_glue_axg": Form("AX-g", "SuperGLUE", 356, _ENTAILMENT),
}


# What a leaderboard wants, by the name that stands for all of it; the averages leave some out.
SUITES: dict[str, tuple[str, ...]] = {
    name: tuple(
        task
        for task, form in FORMS.items()
        if form.benchmark == benchmark and task != "glue_wnli_simple"
    )
    for name, benchmark in (("glue", "GLUE"), ("super_glue", "SuperGLUE"))
}


def form_of(task: str) -> Form:
    """The task's file. Raises UserError for a task that no leaderboard takes."""
    if task not in FORMS:
        raise UserError(f"--submission: {task} is in neither GLUE nor SuperGLUE")
    return FORMS[task]


def submit(folder: str, task: str, lines: Sequence[Line]) -> str:
    """Writes a task's file in `folder`/GLUE or `folder`/SuperGLUE; returns its path.

    A prediction that is no valid answer is written as the first label (0, "").
    Raises UserError for a task that no leaderboard takes, or lines that are not its test set.
    """
    form = form_of(task)
    _check(task, form, lines)
    path = f"{folder}/{form.benchmark}/{_file(form)}"
    if form.benchmark == "GLUE":
        rows = [f"{line['id'][0]}\t{form.written(line['value'])}\n" for line in lines]
        return _write(path, ["index\tprediction\n", *rows])
    if form.name == "MultiRC":
        objects = _multirc(lines)
    else:
        # ReCoRD's id is (passage, query): a query's own number is the last.
        objects = [{"idx": line["id"][-1], "label": form.written(line["value"])} for line in lines]
    return _write(path, [json.dumps(one, ensure_ascii=False) + "\n" for one in objects])


def missing(folder: str, benchmark: str) -> list[str]:
    """The names of the files that the leaderboard wants besides those that are there."""
    wanted = {_file(form) for form in FORMS.values() if form.benchmark == benchmark}
    return sorted(wanted - set(files.listing(f"{folder}/{benchmark}")))


def _file(form: Form) -> str:
    return f"{form.name}.tsv" if form.benchmark == "GLUE" else f"{form.name}.jsonl"


def _check(task: str, form: Form, lines: Sequence[Line]) -> None:
    if len(lines) != form.count:
        raise UserError(
            f"--submission: {task}: {form.benchmark} wants {form.count} predictions, there are "
            f"{len(lines)}; judge the whole official test set (--split=test, no --limit)"
        )
    if len({tuple(line["id"]) for line in lines}) != len(lines):
        raise UserError(f"--submission: {task}: two examples of the test set have one number")


def _multirc(lines: Sequence[Line]) -> list[dict]:
    """Answers within questions within passages, as the test set has them."""
    passages: dict[int, dict[int, list]] = {}
    for line in lines:
        passage, question, answer = line["id"]
        answers = passages.setdefault(passage, {}).setdefault(question, [])
        answers.append({"idx": answer, "label": _integer(line["value"])})
    return [
        {
            "idx": passage,
            "passage": {"questions": [{"idx": q, "answers": a} for q, a in questions.items()]},
        }
        for passage, questions in passages.items()
    ]


def _write(path: str, rows: Sequence[str]) -> str:
    files.write_bytes(path, "".join(rows).encode())
    return path
