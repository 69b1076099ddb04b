"""A user's own files as a task, without code: what is read, and what is refused, in one line."""

import dataclasses
import gzip
import json

import pytest

from benchmarks import package_sentences
from t2t import schema
from t2t.data import source_config, sources
from t2t.data.own_task_config import OwnTask
from t2t.errors import UserError
from t2t.tasks import pairs
from t2t.tasks.catalog import find
from t2t.tasks.examples import examples
from t2t.tasks.own_task import load_task, task_of

ROWS = 'id,review,stars\n1,"Good, and ""cheap"".",1\n2,Broke at once.,0\n'
TASK = """\
name = "reviews"
# what the model sees
input = "review: {review}"
target = "{stars}"
validation = "reviews.csv"
choices = ["bad", "good"]
labels = ["0", "1"]
metrics = ["accuracy"]
targets_length = 8
"""


def write(folder, task: str = TASK, rows: str = ROWS) -> str:
    (folder / "reviews.csv").write_text(rows, encoding="utf-8")
    (folder / "reviews.toml").write_text(task, encoding="utf-8")
    return str(folder / "reviews.toml")


def shown(task, split: str = "validation") -> list[tuple[str, str]]:
    return [(e.input, e.target) for e in examples(task, split)]


EXPECTED = [('review: Good, and "cheap".', "good"), ("review: Broke at once.", "bad")]


def test_a_csv_with_label_words(tmp_path, monkeypatch):
    path = write(tmp_path)
    task = find(path)
    monkeypatch.chdir("/")  # paths are the task file's, not the process's
    assert shown(task) == EXPECTED
    assert (task.name, task.splits, task.judged) == ("reviews", ("validation",), "validation")
    assert (task.metrics, task.targets_length, task.decoding.beams) == (("accuracy",), 8, 1)
    first, second = examples(task, "validation")
    assert (first.truth, second.truth, first.id, second.id) == (1, 0, (0,), (1,))
    assert task.read("good", first) == 1
    assert task.read("Good", first) is None


def test_both_doors_open_the_same_task(tmp_path):
    path = write(tmp_path)
    own = OwnTask(
        name="reviews",
        input="review: {review}",
        target="{stars}",
        validation=str(tmp_path / "reviews.csv"),
        choices=("bad", "good"),
        labels=("0", "1"),
        metrics=("accuracy",),
        targets_length=8,
    )
    assert schema.from_json(schema.to_json(own), OwnTask, "config.task") == own
    one, other = load_task(path), task_of(own, "config.task")
    assert list(examples(one, "validation")) == list(examples(other, "validation"))
    assert dataclasses.replace(one, examples=None, source=None) == dataclasses.replace(
        other, examples=None, source=None
    )


def test_jsonl_with_several_right_answers_and_a_test_split(tmp_path):
    rows = [
        {"q": "Who {said} it?", "a": "Ann", "all": ["Ann", "Anna"], "n": 3},
        {"q": "How many?", "a": 7, "all": ["7", 7], "n": 4},
    ]
    with gzip.open(tmp_path / "q.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n\n" for row in rows)
    own = OwnTask(
        name="quiz",
        input="{{{n}}} {q}",
        target="{a}",
        answers="all",
        test=str(tmp_path / "q.jsonl.gz"),
        metrics=("squad",),
        beams=4,
    )
    task = task_of(own, "task")
    made = list(examples(task, "test"))
    assert [(e.input, e.target, e.truth) for e in made] == [
        ("{3} Who {said} it?", "Ann", ("Ann", "Anna")),
        ("{4} How many?", "7", ("7", "7")),
    ]
    assert (task.judged, task.decoding.beams) == ("test", 4)
    assert task.read("anything", made[0]) == "anything"


def test_numbers_and_tables_of_several_files_with_their_own_delimiters(tmp_path):
    (tmp_path / "b.tsv").write_text('text\tscore\n"quoted\t2.5\n')
    (tmp_path / "a.tsv").write_text("text\tscore\nplain\t1\n")
    own = OwnTask(
        name="n", input="{text}", target="{score}", train=str(tmp_path / "*.tsv"), numeric=True
    )
    made = list(examples(task_of(own, "task"), "train"))
    assert [(e.input, e.target, e.truth) for e in made] == [
        ("plain", "1", 1.0),
        ('"quoted', "2.5", 2.5),
    ]
    assert [e.id for e in made] == [(0,), (1,)]
    assert task_of(own, "task").read("2,5", made[0]) is None
    (tmp_path / "c.csv").write_text("text;score\n'a;3\n")
    own = dataclasses.replace(
        own, train=str(tmp_path / "c.csv"), delimiter=";", quoted=False, numeric=False
    )
    assert shown(task_of(own, "task"), "train") == [("'a", "3")]


def changed(old: str, new: str) -> str:
    assert old in TASK
    return TASK.replace(old, new)


BAD_FILES = [
    (changed("input =", "inptu ="), "reviews.toml:3: inptu: ", "'input'"),
    (changed('target = "{stars}"\n', ""), "reviews.toml: target: ", "not given"),
    (changed("= 8", "= 0"), "reviews.toml:9: targets_length: ", "at least 1"),
    (changed("= 8", '= "8"'), "reviews.toml:9: targets_length: ", "integer"),
    (changed("{review}", "{review"), "reviews.toml:3: input: ", "{name}"),
    (changed("{review}", "{review!r}"), "reviews.toml:3: input: ", "{name}"),
    (changed("{review}", "review"), "reviews.toml:3: input: ", "no column"),
    (changed("reviews.csv", "review.csv"), "reviews.toml:5: validation: ", "reviews.csv"),
    (changed("reviews.csv", "reviews.txt"), "reviews.toml:5: validation: ", ".jsonl"),
    (changed('"reviews"', '"my reviews"'), "reviews.toml:1: name: ", "plain name"),
    (changed('["0", "1"]', '["0"]'), "reviews.toml:7: labels: ", "1 labels for 2"),
    (changed('["0", "1"]', '["0", "0"]'), "reviews.toml:7: labels: ", "twice"),
    (changed('["accuracy"]', "[]"), "reviews.toml:8: metrics: ", "no metric"),
    (changed('["accuracy"]', '["f1", "acuracy"]'), "reviews.toml:8: metrics[1]: ", "'accuracy'"),
    (TASK + "numeric = true\n", "reviews.toml:10: numeric: ", "excludes choices"),
    (TASK + "[more]\na = 1\n", "reviews.toml:10: more: ", "no such field"),
    (changed('"{stars}"', "{stars}"), "reviews.toml:4: ", "not TOML"),
    (changed('validation = "reviews.csv"', ""), "reviews.toml: validation: ", "no file"),
    (TASK + 'delimiter = ";;"\n', "reviews.toml:10: delimiter: ", "one character"),
]


@pytest.mark.parametrize(("task", "place", "said"), BAD_FILES, ids=[c[1][12:] for c in BAD_FILES])
def test_a_malformed_task_file_names_file_line_and_field(tmp_path, task, place, said):
    path = write(tmp_path, task)
    with pytest.raises(UserError) as error:
        load_task(path)
    assert f"{tmp_path}/{place}" in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


BAD_ROWS = [
    (ROWS.replace("id,", "stars,"), ["reviews.csv:1", "'stars' twice"]),
    (ROWS.replace("0\n", "5\n"), ["reviews.csv:3", "'5'", "0, 1"]),
    (ROWS.replace("review,", "reviews,"), ["reviews.csv:2", "'review'", "'reviews'"]),
    (ROWS.replace("Broke at once.", "Broke, at once."), ["reviews.csv:3", "4 fields"]),
]


@pytest.mark.parametrize(("rows", "said"), BAD_ROWS, ids=["twice", "label", "column", "quotes"])
def test_a_bad_row_names_file_line_and_field(tmp_path, rows, said):
    task = load_task(write(tmp_path, rows=rows))
    with pytest.raises(UserError) as error:
        list(examples(task, "validation"))
    assert all(word in str(error.value) for word in said), error.value


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"q": ["a"], "a": "b", "all": ["b"]}, "'q' is no text but a list"),
        ({"q": "\ud83d", "a": "b", "all": ["b"]}, r"'q' holds half .*ud83d"),
        ({"q": None, "a": "b", "all": ["b"]}, "'q' is no text but null"),
        ({"q": "a", "a": "b", "all": "b"}, "'all' is no list"),
        ({"q": "a", "a": "b", "all": []}, "'all' lists no answer"),
    ],
)
def test_a_bad_json_row_names_its_field(tmp_path, row, said):
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps(row))
    own = OwnTask(
        name="a", input="{q}", target="{a}", test=str(tmp_path / "a.jsonl"), answers="all"
    )
    with pytest.raises(UserError, match=said) as error:
        list(examples(task_of(own, "task"), "test"))
    assert "a.jsonl:2" in str(error.value)


def test_a_split_that_is_not_given_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"reviews: has no split 'train'.* validation"):
        list(examples(load_task(write(tmp_path)), "train"))


@pytest.mark.slow
def test_files_in_an_object_store(tmp_path, s3):
    s3.create_bucket(Bucket="tasks")
    s3.put_object(Bucket="tasks", Key="a/reviews.csv", Body=ROWS.encode())
    s3.put_object(Bucket="tasks", Key="a/reviews.toml", Body=TASK.encode())
    assert shown(find("s3://tasks/a/reviews.toml")) == EXPECTED


def test_a_recipe_trains_on_an_own_task_that_it_describes(tmp_path):
    write(tmp_path)
    own = OwnTask(
        name="reviews", input="{review}", target="{stars}", train=str(tmp_path / "reviews.csv")
    )
    source = source_config.Task(own=own)
    source.check("source")
    assert sources.names(source) == ["reviews (train)"]
    assert list(pairs.open_pairs(source).read()) == [
        ('Good, and "cheap".', "1"),
        ("Broke at once.", "0"),
    ]
    saved = schema.to_json(source, source_config.Source)
    assert schema.from_json(saved, source_config.Source, "config.source") == source
    for wrong, said in (
        (dataclasses.replace(source, name="glue_sst2"), r"source\.name: 'glue_sst2' beside"),
        (source_config.Task(), r"source\.name: empty"),
        (source_config.Task(own=dataclasses.replace(own, input="x")), r"source\.own\.input"),
    ):
        with pytest.raises(UserError, match=said):
            wrong.check("source")
    gone = dataclasses.replace(own, train=str(tmp_path / "review.csv"))
    with pytest.raises(UserError, match=r"own\.train: .*'reviews\.csv'"):
        pairs.check(source_config.Task(own=gone))


def test_the_readme_table_is_balanced_and_judged_on_what_is_not_trained_on(tmp_path, monkeypatch):
    """What `benchmarks.package_sentences` makes of this environment, which README fine-tunes on."""
    monkeypatch.setattr("sys.argv", ["package_sentences", str(tmp_path)])
    package_sentences.main()
    task = load_task(str(tmp_path / "packages.toml"))
    made = {split: list(examples(task, split)) for split in task.splits}
    for split, each in (("train", 400), ("validation", 100)):
        truths = [example.truth for example in made[split]]
        assert [truths.count(number) for number in range(4)] == [each] * 4
    train, judged = ({example.input for example in of} for of in made.values())
    assert not train & judged
