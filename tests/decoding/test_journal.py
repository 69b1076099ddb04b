"""Results kept piece by piece survive a kill, in the middle of a line too."""

import json

import pytest

from t2t.data.files import check_place
from t2t.decoding.journal import Journal
from t2t.errors import UserError


def test_what_was_kept_is_there_again_and_the_file_is_in_order(tmp_path):
    path = str(tmp_path / "out.jsonl")
    first = Journal(path, {"step": 3})
    first.add([{"index": 2, "text": "c"}, {"index": 0, "text": "ä"}])
    with open(path + ".partial", "ab") as file:
        file.write(b'{"index": 1, "te')  # killed while writing
    second = Journal(path, {"step": 3})
    assert sorted(second.done) == [0, 2]
    second.add([{"index": 1, "text": "b"}])
    second.finish()
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == ["ä", "b", "c"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


def test_results_of_other_settings_are_refused(tmp_path):
    path = str(tmp_path / "out.jsonl")
    Journal(path, {"step": 3}).add([{"index": 0}])
    with pytest.raises(UserError, match="another input, checkpoint or settings"):
        Journal(path, {"step": 4})


def test_settings_without_a_result_bind_nobody(tmp_path):
    path = str(tmp_path / "out.jsonl")
    Journal(path, {"step": 3})
    Journal(path, {"step": 4}).add([{"index": 0}])
    assert list(Journal(path, {"step": 4}).done) == [0]


@pytest.mark.parametrize(
    ("torn", "said"),
    [
        (b'{"step": 3}\n{"index": 0}\n\0\0\0\n', ":3: is damaged, .* remove the line"),
        (b'{"step": 3}\n{"text": "a"}\n', ":2: is damaged, .* remove the line"),
        (b"\xff\n", ":1: is damaged, .* remove the file"),
    ],
)
def test_a_damaged_line_is_named_with_what_to_do(tmp_path, torn, said):
    path = tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.partial").write_bytes(torn)
    with pytest.raises(UserError, match=rf"out\.jsonl\.partial{said}"):
        Journal(str(path), {"step": 3})
    assert (tmp_path / "out.jsonl.partial").read_bytes() == torn


def test_a_place_where_no_file_can_be_is_refused(tmp_path):
    check_place(str(tmp_path / "new" / "folder" / "out.jsonl"), "--output")
    assert (tmp_path / "new" / "folder").is_dir()
    (tmp_path / "file").write_text("")
    for place, said in (
        ("new", "--output=.*: is a folder"),
        ("file/out.jsonl", "file: File exists|file: Not a directory"),
    ):
        with pytest.raises(UserError, match=said):
            check_place(str(tmp_path / place), "--output")
    with pytest.raises(UserError, match="a disk of this machine"):
        check_place("gs://bucket/out.jsonl", "--output")
