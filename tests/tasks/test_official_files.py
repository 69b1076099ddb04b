"""The files of the benchmarks as they were published, read as they are.

A row of READ: the task, the split, its examples, and the SHA-256 (16 digits) of all their inputs and
targets as T5's own preprocessors wrote them from the same records (see test_golden.py).
"""

import collections
import hashlib
import json
import zipfile

import pytest

from t2t.tasks.catalog import TASKS
from t2t.tasks.examples import examples, located

READ = [
    ("glue_cola", "train", 8551, "28f90d5c21bc37b6"),
    ("glue_cola", "validation", 1043, "8889d43dcee0c5d0"),
    ("glue_sst2", "validation", 872, "42b1a963d97670d0"),
    ("sst2_sentences", "train", 6920, "9d2ff9c4dabbada8"),
    ("sst2_sentences", "validation", 872, "3b4b678fb2009709"),
    ("sst2_sentences", "test", 1821, "6b33714037b45eb3"),
    ("glue_mrpc", "train", 3668, "8a1ae165d4d15b0a"),
    ("glue_mrpc", "validation", 408, "dfbf6b2f9e98d6d2"),
    ("glue_mrpc", "test", 1725, "e64ea27a00e66082"),
    ("glue_stsb", "train", 5749, "5cc178f3caee2535"),
    ("glue_stsb", "validation", 1500, "8b3c02d292093c21"),
    ("glue_stsb", "test", 1379, "95c7d22d12278a5a"),
    ("glue_qnli", "validation", 5463, "d3793038e18a90f1"),
    ("glue_rte", "validation", 277, "d297d509e1e622b3"),
    ("super_glue_boolq", "train", 9427, "993b6e1987004d7c"),
    ("super_glue_boolq", "validation", 3270, "f78246e87969a92b"),
    ("super_glue_boolq", "test", 3245, "96aef4093f27cd5c"),
    ("super_glue_cb", "train", 32, "46d263bc84e380ab"),
    ("super_glue_cb", "validation", 56, "be67031e8c6dfa43"),
    ("super_glue_copa", "train", 32, "973605ba1accf8e8"),
    ("super_glue_copa", "validation", 100, "0ad3896a7915529d"),
    ("super_glue_multirc", "train", 154, "8447acda68c93966"),
    ("super_glue_record", "train", 44, "98503b49347ab9bf"),
    ("super_glue_rte", "train", 32, "38dd18db08437cee"),
    ("super_glue_rte", "validation", 277, "7df21abc6fa22671"),
    ("super_glue_wic", "train", 32, "07282d4c315fde25"),
    ("super_glue_wic", "validation", 500, "014ba324a0de50eb"),
    ("super_glue_wsc", "train", 32, "daa0cc775c451ded"),
    ("super_glue_wsc", "validation", 104, "0df2393341df30d1"),
    ("squad", "validation", 1000, "890b6a34cd6082f8"),
    ("squad_context_free", "validation", 1000, "dac849e33c3add70"),
    ("boolq", "train", 9427, "993b6e1987004d7c"),
    ("boolq", "validation", 3270, "f78246e87969a92b"),
    ("xsum", "test", 1000, "00c8f73f5fbd75ae"),
    ("multi30k_ende", "train", 29000, "babf18c581742aa6"),
    ("multi30k_ende", "validation", 1014, "0e9916c20d70d49c"),
    ("multi30k_ende", "test_2016", 1000, "18f80ac0a1715c17"),
    ("multi30k_deen", "train", 29000, "486ccfe94d1c659e"),
    ("multi30k_deen", "validation", 1014, "990a831f4100dff6"),
    ("multi30k_deen", "test_2016", 1000, "b17c60a0adec9987"),
]


@pytest.mark.parametrize(
    ("name", "split", "count", "digest"), READ, ids=[f"{row[0]}-{row[1]}" for row in READ]
)
def test_every_example_is_t5s(shared_data, name, split, count, digest):
    made = list(examples(TASKS[name], split, str(shared_data / "tasks")))
    assert len(made) == count
    summed = hashlib.sha256()
    for example in made:
        summed.update(json.dumps([example.input, example.target]).encode() + b"\n")
    assert summed.hexdigest()[:16] == digest


@pytest.mark.parametrize("split", ["tune", "validation"])
def test_wikisplit(shared_data, split):
    made = list(examples(TASKS["wikisplit"], split, str(shared_data / "tasks")))
    assert len(made) == 5000
    assert all(example.input.startswith("split: ") for example in made)
    assert not any("<::::>" in example.target for example in made)


# Not for tasks: bias sets, what metrics are tested on, a licence.
OTHERS = ("bias_", "stereoset_", "newstest2017_", "stsb.LICENSE")


def test_every_file_of_a_task_is_read_by_one(shared_data):
    folder = shared_data / "tasks"
    used = set()
    for task in TASKS.values():
        for layout in task.source.layouts:
            for split in task.splits:
                paths, _ = located(layout, split, str(folder))
                used |= {path.rpartition("/")[2] for path in paths}
                used |= {path.rpartition("::")[2].rpartition("/")[2] for path in paths}
    files = {path.name for path in folder.iterdir() if not path.name.startswith(OTHERS)}
    assert files <= used


def test_labels_are_counted_as_published(shared_data):
    """Each against a figure of the set's own publication, or of counting its raw lines."""
    folder = str(shared_data / "tasks")

    def targets(name: str, split: str) -> dict[str, int]:
        return collections.Counter(e.target for e in examples(TASKS[name], split, folder))

    assert targets("glue_sst2", "validation") == {"positive": 444, "negative": 428}
    assert targets("glue_mrpc", "train") == {"equivalent": 2474, "not_equivalent": 1194}
    assert targets("glue_mrpc", "validation") == {"equivalent": 279, "not_equivalent": 129}
    assert targets("glue_rte", "validation") == {"entailment": 146, "not_entailment": 131}
    assert targets("super_glue_boolq", "validation") == {"True": 2033, "False": 1237}
    with zipfile.ZipFile(f"{folder}/cola_public_1.1.zip") as archive:
        raw = archive.read("cola_public/raw/in_domain_train.tsv").decode().splitlines()
    acceptable = sum(line.split("\t")[1] == "1" for line in raw)
    assert targets("glue_cola", "train")["acceptable"] == acceptable == 6023
