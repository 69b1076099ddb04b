"""Results kept piece by piece survive a kill, in the middle of a line too."""

import json

import pytest

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
