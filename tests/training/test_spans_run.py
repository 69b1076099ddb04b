"""Runs on text with spans: ERNIE 1.0's units and dialogues, and ERNIE 2.0's tasks in stages, from JSONL to the last row."""

import dataclasses
import json
import re

import pytest

from benchmarks import book_spans
from t2t import run as runs
from t2t.cli import main
from t2t.data.config import Corpus, Mixture
from t2t.data.own_task_config import OwnTask
from t2t.data.source_config import Jsonl, Task
from t2t.errors import UserError
from t2t.objectives.config import ErnieTasks, ExternalSpans, MaskedLM, Stage, WholeWords
from tests import tiny
from tests.training.test_objectives import ENCODER, WORDPIECE, run_of

MARKERS = ("so", "then", "for example", "however")
TASKS = {"token_types": 3, "task_types": 6, "token_classes": 4, "pair_classes": 16}
ALL = Stage(0, 0.3, 0.15, 0.15, 0.15, 0.1, 0.15)
RELEVANCE = ("0", "1", "2")
ALONE = Stage(32, 1.0, 0.0, 0.0, 0.0, 0.0)


def searched(path: str) -> OwnTask:
    """Queries and titles, which stand beside the text's file."""
    return OwnTask(
        "search",
        "{query} {title}",
        "{relevance}",
        train=path.replace("spans", "search"),
        choices=RELEVANCE,
        texts=("{query}", "{title}"),
    )


def get_config(arg: str):
    """arg: 1:FILE, 2:FILE, dialogue:FILE or relevance:FILE, JSON lines with spans."""
    number, _, path = arg.partition(":")
    objective, model = MaskedLM(64, unit=ExternalSpans(0.2, 0.4, 0.4)), ENCODER
    if number in ("2", "relevance"):
        objective = ErnieTasks(64, WholeWords(), stages=(ALONE, ALL), markers=MARKERS)
        model = {**ENCODER, **TASKS}
    if number == "dialogue":
        objective = MaskedLM(64, pairs="dialogue")
    run = run_of(path, objective, model, WORDPIECE, "shuffled" if number in "2" else "packed")
    text = Jsonl((path,), spans="spans")
    data = dataclasses.replace(
        run.data,
        train=Mixture((Corpus("text", text, documents=(0.0, 0.9)),)),
        evaluation=(Corpus("held_out", text, documents=(0.9, 1.0)),),
    )
    if number == "relevance":
        search = Corpus("search", Task(own=searched(path)))
        text = data.train.corpora[0]
        data = dataclasses.replace(
            data, train=Mixture((text, search)), evaluation=(*data.evaluation, search)
        )
        run = dataclasses.replace(
            run,
            objective=dataclasses.replace(objective, relevance=RELEVANCE),
            model=dataclasses.replace(run.model, pair_classes=19, task_types=7),
        )
    training = dataclasses.replace(run.training, steps=8)
    evaluation = dataclasses.replace(run.evaluation, every_steps=8)
    return dataclasses.replace(run, data=data, training=training, evaluation=evaluation)


@pytest.fixture(scope="module")
def spans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    texts = tiny.write_text(folder).read_text().split("\n\n")
    texts = ["\n\n".join(texts[i : i + 20]) for i in range(0, len(texts), 20)]
    together, path = book_spans.company(texts), folder / "spans.jsonl"
    with open(path, "w") as file:
        for text in texts:
            words = [m.span() for m in book_spans._WORD.finditer(text)]
            found = book_spans.entities(text, words) + book_spans.phrases(text, words, together)
            ends = [0, *(m.end() for m in re.finditer(r"\n\n", text)), len(text)]
            turns = [(a, b) for a, b in zip(ends, ends[1:], strict=False) if a < b]
            found += [(*turn, ("query", "response")[i % 2]) for i, turn in enumerate(turns)]
            file.write(json.dumps({"text": text, "spans": found}) + "\n")
    with open(folder / "search.jsonl", "w") as file:
        for i, text in enumerate(texts * 9):
            words = text.split()[:20]
            pair = {"query": " ".join(words[:4]), "title": " ".join(words[4:]), "relevance": i % 3}
            file.write(json.dumps(pair) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("number", ["1", "2", "dialogue", "relevance"])
def test_it_trains_and_tells_of_every_task(spans, tmp_path, number):
    recipe = tmp_path / "recipe.py"
    recipe.write_text("from tests.training.test_spans_run import get_config\n")
    assert main(["train", f"--config={recipe}:{number}:{spans}", f"--workdir={tmp_path}"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    held_out = [row["loss"] for row in rows if row["split"] == "eval/held_out"]
    assert held_out[-1] < held_out[0] - 0.2
    if number == "relevance":
        assert all(row["relevance_loss"] > 0 for row in rows if row["split"] != "eval/held_out")
        searched = [row for row in rows if row["split"] == "eval/search"]
        assert abs(searched[0]["relevance_loss"] - 1.1) < 0.3  # ln 3: a mean, not a sum
        assert searched[-1]["relevance_accuracy"] <= 1
    if number == "dialogue":
        assert all(row["pair_loss"] > 0 for row in rows)
    if number == "2":
        train = {row["step"]: row for row in rows if row["split"] == "train"}
        tasks = ("capital", "relation", "reordering", "distance", "discourse")
        # The first stage has 32 samples, 4 steps of 8 rows.
        assert all(train[step][f"{t}_loss"] == 0 for step in range(1, 5) for t in tasks)
        assert all(sum(train[step][f"{t}_loss"] for step in range(5, 9)) > 0 for t in tasks)


def test_what_does_not_go_together_is_named(spans):
    run = get_config(f"2:{spans}")
    runs.check(run)
    plain = dataclasses.replace(run.data, evaluation=(Corpus("a", Jsonl((str(spans),))),))
    task = Corpus("a", Task(own=searched(str(spans))))
    paired = dataclasses.replace(run.data, evaluation=(task,))
    for change, match in (
        ({"model": dataclasses.replace(run.model, token_classes=2)}, "token_classes: 2, and Ernie"),
        ({"model": dataclasses.replace(run.model, task_types=0)}, "task_types: 0, and Ernie"),
        ({"model": dataclasses.replace(run.model, task_types=5)}, "task_types: 5, .* needs 6"),
        ({"model": dataclasses.replace(run.model, pair_classes=12)}, "pair_classes: 12, .* are 16"),
        ({"objective": MaskedLM(64, pairs="dialogue")}, "'dialogue' has a dialogue a document"),
        ({"data": paired}, r"evaluation\[0\]: 'a' is a task; name the labels"),
        ({"data": plain}, r"config.data.evaluation\[0\].source: has no spans"),
    ):
        with pytest.raises(UserError, match=match):
            runs.check(dataclasses.replace(run, **change))
