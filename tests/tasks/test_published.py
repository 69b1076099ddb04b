"""Files where and as their publishers put them: in folders, gzipped, in archives; and wrong ones."""

import gzip
import shutil

import pytest

from t2t.errors import UserError
from t2t.tasks.catalog import TASKS, find
from t2t.tasks.examples import examples
from tests.tasks import published


def read(name: str, split: str, data) -> list[tuple[str, str]]:
    return [(e.input, e.target) for e in examples(TASKS[name], split, str(data))]


def test_every_published_split_is_read(tmp_path):
    """Those of published.py: each holds at least one example, with its label where it has one."""
    published.write(tmp_path)
    found = set()
    for task in TASKS.values():
        for split in task.splits:
            for layout in task.source.layouts:
                names = dict(layout.files).get(split, ())
                if names and all((tmp_path / name).is_file() for name in names):
                    assert read(task.name, split, tmp_path)
                    found |= set(names)
    beside = {name for name in published.EVERYTHING if name.endswith((".story", ".data"))}
    beside |= {name for name in published.EVERYTHING if name.startswith("evidence/")}
    assert found | beside == set(published.EVERYTHING)


def test_gzipped_files_and_archives_are_read_as_folders_are(tmp_path):
    plain = tmp_path / "plain"
    published.write(plain)
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    for folder in ("CoLA", "MRPC", "MNLI", "MultiRC"):
        shutil.make_archive(str(zipped / folder), "zip", plain, folder)
    for name in ("train-v1.1.json", "commoncrawl.de-en.en"):
        (zipped / f"{name}.gz").write_bytes(gzip.compress((plain / name).read_bytes()))
    for name, split in (
        ("glue_cola", "test"),
        ("glue_mrpc", "train"),
        ("glue_mnli", "validation_mismatched"),
        ("super_glue_multirc", "validation"),
        ("squad", "train"),
    ):
        assert read(name, split, zipped) == read(name, split, plain) != []


def test_rows_that_glue_cut_off_are_left_out_and_counted(tmp_path):
    made = list(examples(TASKS["glue_qqp"], "train", published.write(tmp_path, published.GLUE)))
    assert [e.id for e in made] == [(0,), (2,)]


def test_mrpc_is_parted_as_glue_parts_it(tmp_path):
    data = published.write(tmp_path, published.GLUE)
    assert [e.id for e in examples(TASKS["glue_mrpc"], "train", data)] == [(0,), (2,)]
    assert [e.id for e in examples(TASKS["glue_mrpc"], "validation", data)] == [(1,)]


def test_parallel_text_by_the_names_of_tasks(tmp_path):
    (tmp_path / "wmt16_enro.train.en").write_text("One.\r\nTwo.\n")
    (tmp_path / "wmt16_enro.train.ro").write_text("Unu.\nDoi.\n")
    prefix = "translate English to Romanian: "
    assert read("wmt16_enro", "train", tmp_path) == [
        (prefix + "One.", "Unu."),
        (prefix + "Two.", "Doi."),
    ]
    (tmp_path / "wmt16_enro.train.ro").write_text("Unu.\n")
    with pytest.raises(UserError, match=r"train\.ro: ends before .*train\.en:2"):
        read("wmt16_enro", "train", tmp_path)


def test_a_limit_reads_no_more_than_it_shows(tmp_path):
    (tmp_path / "train.c.txt").write_text("Al hit Bo.\nBo\nAl,Bo\nBo\n\nbroken")
    assert len(list(examples(TASKS["dpr"], "train", str(tmp_path), limit=1))) == 1
    with pytest.raises(UserError, match=r"train\.c\.txt:6: the file ends inside"):
        read("dpr", "train", tmp_path)


def test_trivia_qa_without_its_evidence(tmp_path):
    files = {k: v for k, v in published.TRIVIA.items() if not k.startswith("evidence")}
    data = published.write(tmp_path, files)
    assert read("trivia_qa_open", "validation", data)
    with pytest.raises(UserError, match="no folder .*evidence"):
        read("trivia_qa", "validation", data)


PLAIN = {
    # (task, split): (file, what is replaced, by what, what the error says)
    "label": ("glue_sst2", "train", "SST-2/train.tsv", "\t1", "\t7", "train.tsv:2: field 'label'"),
    "column": (
        "glue_rte",
        "train",
        "RTE/train.tsv",
        "sentence2\t",
        "sentence_2\t",
        "train.tsv:2: no field 'sentence2' (did you mean 'sentence_2'?)",
    ),
    "number": ("glue_stsb", "train", "STS-B/train.tsv", "4.750", "high", "train.tsv:2: field 'lab"),
    "json": ("super_glue_cb", "train", "CB/train.jsonl", "{", "{{", "train.jsonl:1: not JSON"),
    "field": (
        "super_glue_cb",
        "train",
        "CB/train.jsonl",
        '"premise"',
        '"premises"',
        "train.jsonl:1: no field 'premise' (did you mean 'premises'?)",
    ),
    "kind": (
        "super_glue_wic",
        "validation",
        "WiC/val.jsonl",
        '"She runs."',
        '["She runs."]',
        "val.jsonl:1: field 'sentence1' is no text but a list",
    ),
    "nested": (
        "super_glue_multirc",
        "train",
        "MultiRC/train.jsonl",
        '"questions"',
        '"question"',
        "train.jsonl:1: not laid out as its publisher does (KeyError: 'questions')",
    ),
    "not nested": (
        "super_glue_wsc",
        "test",
        "WSC/test.jsonl",
        '"target"',
        '"spans"',
        "test.jsonl:1: not laid out",
    ),
    "pronoun": (
        "super_glue_wsc",
        "test",
        "WSC/test.jsonl",
        '"span2_index": 4',
        '"span2_index": 5',
        "test.jsonl:1: field 'span2_index' is 5: word 'had', not 'she'",
    ),
    "squad": ("squad", "train", "train-v1.1.json", '"qas"', '"qa"', "data[0]: not laid out"),
    "squad list": ("squad", "train", "train-v1.1.json", '"data"', '"date"', "under 'data'"),
    "answers": (
        "squad",
        "train",
        "train-v1.1.json",
        '[{"text": "766 miles", "answer_start": 11}]',
        "[]",
        "question q2: field 'answers/text' is empty",
    ),
    "words": (
        "lambada",
        "test",
        "lambada_test_plain_text.txt",
        "he lit a match and then the lamp",
        "he",
        "text.txt:1: field 'passage' holds fewer than two",
    ),
    "boundary": (
        "wikisplit",
        "train",
        "wiki-split/train.tsv",
        "<::::>",
        "<::>",
        "train.tsv:1: field 'sentences' has no <::::>",
    ),
    "story": (
        "cnn_dailymail",
        "test",
        "url_lists/all_test.txt",
        "com/1",
        "com/9",
        "all_test.txt:1: no ",
    ),
}


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)
def test_a_wrong_file_is_named_with_line_and_field(tmp_path, case):
    name, split, file, old, new, said = case
    published.write(tmp_path)
    path = tmp_path / file
    content = path.read_text("utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), "utf-8")
    with pytest.raises(UserError) as error:
        read(name, split, tmp_path)
    assert str(path).rpartition("/")[2] in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_told_with_what_would_do(tmp_path):
    with pytest.raises(UserError, match=r"no wikisplit\.test\.tsv or wiki-split/test\.tsv"):
        read("wikisplit", "test", tmp_path)
    with pytest.raises(UserError, match=r"no split 'tests' \(did you mean 'test'\?\)"):
        read("wikisplit", "tests", tmp_path)
    (tmp_path / "CoLA.zip").write_bytes(b"PK but no archive")
    with pytest.raises(UserError, match=r"CoLA\.zip: not a zip archive"):
        read("glue_cola", "train", tmp_path)
    with pytest.raises(UserError, match=r"glue_mrcp.*'glue_mrpc'.*t2t tasks"):
        find("glue_mrcp")


@pytest.mark.slow
def test_an_object_store_holds_published_files(s3):
    s3.create_bucket(Bucket="glue")
    for name, content in published.GLUE.items():
        s3.put_object(Bucket="glue", Key=f"all/{name}.gz", Body=gzip.compress(content.encode()))
    made = read("glue_mrpc", "validation", "s3://glue/all")
    assert [target for _, target in made] == ["not_equivalent"]
