"""A corpus's task, opened: its texts as they are, known again by them, and what is wrong in a line."""

import pytest

from t2t.data.own_task_config import OwnTask
from t2t.data.source_config import Task
from t2t.errors import UserError
from t2t.tasks.pairs import check, open_pairs
from tests.tiny_task import write_task

SUMS = [
    ("add zero and zero", "0, or zero more than zero"),
    ("add zero and one", "1, or zero more than one"),
]


@pytest.fixture
def toml(tmp_path):
    return write_task(tmp_path)


def test_pairs_are_the_texts_of_the_examples(toml):
    opened = open_pairs(Task(str(toml)))
    assert list(opened.read())[:2] == SUMS
    assert len(list(opened.read())) == 100  # read again from the start
    assert list(opened.texts())[:3] == [*SUMS[0], SUMS[1][0]]
    assert list(open_pairs(Task(str(toml), limit=2)).read()) == SUMS


def test_the_fingerprint_is_of_the_texts(toml, tmp_path):
    first = open_pairs(Task(str(toml))).fingerprint
    assert open_pairs(Task(str(toml))).fingerprint == first
    table = tmp_path / "sums.csv"
    table.touch()  # a file's time says nothing about its texts
    assert open_pairs(Task(str(toml))).fingerprint == first
    own = OwnTask("sums", "add {first} and {second}", "{sum}", train=str(table))
    assert open_pairs(Task(own=own)).fingerprint == first
    changed = [
        OwnTask("sums", "add {first} to {second}", "{sum}", train=str(table)),
        OwnTask("sums", "add {first} and {second}", "{sum}.", train=str(table)),
    ]
    found = {open_pairs(Task(own=one)).fingerprint for one in changed}
    found.add(open_pairs(Task(str(toml), limit=99)).fingerprint)
    table.write_text(table.read_text().replace("zero,one,", "zero,eins,"))
    found.add(open_pairs(Task(str(toml))).fingerprint)
    assert len(found | {first}) == 5


def wrong(source, match):
    with pytest.raises(UserError, match=match):
        check(source)


def test_what_is_wrong_is_named(toml, tmp_path):
    wrong(Task("glue_sst"), r"glue_sst: no such task \(did you mean 'glue_sst2'\?\)")
    wrong(Task(str(toml), "trian"), "has no split 'trian'")
    wrong(Task(str(tmp_path / "none.toml")), r"none\.toml")
    (tmp_path / "sst2_sentences.train.tsv").write_text("1\tgood\n?\tbad\n")
    check(Task("sst2_sentences", data=str(tmp_path)))  # reads no further than the first example
    with pytest.raises(UserError, match=r"sst2_sentences\.train\.tsv:2: .*label"):
        open_pairs(Task("sst2_sentences", data=str(tmp_path)))
    wrong(Task("sst2_sentences", "test", data=str(tmp_path)), "sst2_sentences.test.tsv")


def test_a_split_without_labels_is_no_training_data(tmp_path):
    (tmp_path / "SST-2").mkdir()
    (tmp_path / "SST-2" / "test.tsv").write_text("index\tsentence\n0\tgood\n")
    wrong(
        Task("glue_sst2", "test", data=str(tmp_path)),
        r"glue_sst2 \(test\): example 0 has no target, .* \(the task has train, validation\)",
    )


@pytest.mark.parametrize(
    ("source", "key"),
    [
        (Task(), "name"),
        (Task("a", own=OwnTask("a", "{x}", "{y}", train="a.csv")), "name"),
        (Task("a", split=" "), "split"),
        (Task("a", limit=-1), "limit"),
        (Task(own=OwnTask("a", "{x}", "{y}", train="a.txt")), r"own\.train"),
    ],
)
def test_a_source_that_cannot_be_is_refused(source, key):
    with pytest.raises(UserError, match=rf"^source\.{key}: "):
        source.check("source")


def test_real_files(shared_data):
    data = str(shared_data / "tasks")
    pairs = list(open_pairs(Task("sst2_sentences", data=data)).read())
    assert len(pairs) == 6920
    assert pairs[0] == (
        "sst2 sentence: a stirring , funny and finally transporting re-imagining of beauty and the "
        "beast and 1930s horror films",
        "positive",
    )
