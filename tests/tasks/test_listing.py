"""`t2t tasks`: the catalogue and a task's examples, as a user meets them."""

import json

import pytest

from t2t.cli import main
from t2t.evaluation.metrics.catalog import METRICS
from t2t.tasks.catalog import TASKS
from t2t.tasks.listing import HEADER, example_lines
from t2t.tasks.task import Example
from tests.tasks import published


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main(["tasks", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_list_has_a_line_a_task(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split() == list(HEADER)
    assert [row.split()[0] for row in rows] == list(TASKS)
    starts = [header.index(name) for name in HEADER]
    for row, task in zip(rows, TASKS.values(), strict=True):
        cells = [row[a:b].strip() for a, b in zip(starts, [*starts[1:], len(row)], strict=True)]
        assert cells[1] == task.suite
        assert cells[2].split(",") == list(task.splits)
        assert cells[3] == f"{task.inputs_length}/{task.targets_length}"
        assert cells[5] == ("all" if task.labels or task.extractive else "decoders")
        assert cells[6].split(",") == list(task.metrics)
        assert cells[7].startswith("TFDS " if task.source.tfds else "files such as ")


def test_the_catalogue_holds_together():
    for name, task in TASKS.items():
        assert task.name == name
        assert task.judged in task.splits
        assert set(task.metrics) <= set(METRICS)
        published = {split for layout in task.source.layouts for split, _ in layout.files}
        assert task.source.tfds or published >= set(task.splits)
    suites = [task.suite for task in TASKS.values()]
    counts = {suite: suites.count(suite) for suite in suites}
    # Nine tasks of GLUE and AX; MNLI's two sets are judged apart, WNLI in two forms.
    assert (counts["GLUE"], counts["SuperGLUE"], counts["WMT"]) == (14, 11, 6)
    lengths = {(t.suite, t.inputs_length, t.targets_length) for t in TASKS.values()}
    # T5's.
    assert {("GLUE", 512, 84), ("SuperGLUE", 512, 62), ("SQuAD", 512, 97)} <= lengths
    assert {("CNN/DailyMail", 512, 512), ("WMT", 512, 512)} <= lengths
    for name in ("cnn_dailymail", "wmt14_ende"):
        assert (TASKS[name].decoding.beams, TASKS[name].decoding.alpha) == (4, 0.6)


def test_a_task_alone_shows_where_it_is_read_from(capsys):
    code, out, _ = run(capsys, "glue_cola")
    assert code == 0
    assert "source: TFDS glue/cola, prepared" in out
    assert "source: train = CoLA/train.tsv; validation = CoLA/dev.tsv" in out
    assert "example" not in out


def test_examples_are_shown(capsys, tmp_path):
    data = published.write(tmp_path)
    code, out, _ = run(capsys, "super_glue_multirc", f"--data={data}", "--limit=1")
    assert code == 0
    assert out.endswith(
        "\n\nexample 0, id 2/3/7\n"
        "  input:  'multirc question: When did Ida come home? answer: In May paragraph: Sent 1: Ida"
        " went to sea. She came home in May. '\n"
        "  texts:  'Sent 1: Ida went to sea. She came home in May. ' | 'When did Ida come home? In May'\n"
        "  target: 'False'\n"
        "  truth:  0\n"
        "  choices: False, True\n"
    )
    code, out, _ = run(capsys, "glue_sst2", f"--data={data}", "--split=train", "--limit=0")
    assert out.count("\nexample ") == 2


def test_shots_are_shown(capsys, tmp_path):
    data = published.write(tmp_path)
    code, out, _ = run(capsys, "glue_sst2", f"--data={data}", "--shots=1", "--seed=4")
    assert code == 0
    text = out.partition("input:  ")[2]
    assert text.count("sst2 sentence: ") == 2
    assert text.index("\\n\\n") > text.index("sst2")
    code, _, err = run(capsys, "glue_sst2", f"--data={data}", "--shots=3")
    assert code == 2
    assert "--shots=3: the training split holds only 2" in err


def test_an_own_task_is_shown(capsys, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"q": "Why?", "a": "So."}))
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\ninput = "{q}"\ntarget = "{a}"\ntest = "a.jsonl"\n')
    code, out, _ = run(capsys, path)
    assert code == 0
    assert "own (own)\n" in out
    assert "  input:  'Why?'\n  target: 'So.'\n" in out
    path.write_text('name = "own"\ninput = "{q}"\ntarget = "{a\ntest = "a.jsonl"\n')
    code, _, err = run(capsys, path)
    assert code == 2
    assert f"{path}:3: not TOML" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["glue_mrcp"], "did you mean 'glue_mrpc'?"),
        (["glue_mnli", "--split=validation", "--data=."], "did you mean 'validation_matched'?"),
        (["glue_mnli", "--split=train"], "--data: not given"),
        (["--split=train"], "t2t tasks NAME --split="),
        (["glue_mnli", "--limit=-1"], "at least 0"),
        (["gone.toml"], "gone.toml: no such file"),
        (["glue_cola", "--data=/nowhere"], "--data=/nowhere holds no"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(capsys, arguments, said):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_every_space_of_an_example_shows():
    lines = list(example_lines([Example(" a \n", "b", truth="b", id=("x", 1))]))
    assert lines == ["", "example 0, id x/1", "  input:  ' a \\n'", "  target: 'b'"]


@pytest.mark.parametrize("rows", ["review,stars\n", ""])
def test_a_file_without_an_example_is_refused(capsys, tmp_path, rows):
    (tmp_path / "a.csv").write_text(rows)
    task = tmp_path / "a.toml"
    task.write_text('name = "a"\ninput = "{review}"\ntarget = "{stars}"\nvalidation = "a.csv"\n')
    code, out, err = run(capsys, task)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "holds no example" in err or "a.csv" in err
