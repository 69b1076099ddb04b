"""A task's two doors give the same examples: the published files, and what TFDS itself makes of them.

TFDS's own builders (which need no TensorFlow for these sets) prepare the files of `published.py`.
"""

import importlib
import inspect
import json
import os
import pathlib
import struct
import types

import numpy as np
import pytest

from t2t.data import record_files
from t2t.data.crc32c import masked_crc32c
from t2t.errors import UserError
from t2t.tasks.catalog import TASKS
from t2t.tasks.examples import examples
from tests.tasks import published

tfds = pytest.importorskip("tensorflow_datasets")
epath = pytest.importorskip("etils.epath")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("published")
    published.write(folder)
    return folder


def prepared(builder, config: str | None, splits: dict[str, dict], folder) -> str:
    """Runs a builder of TFDS on files that are there: {split: arguments of _generate_examples}."""

    def generators(self, manager):
        return [tfds.core.SplitGenerator(name=n, gen_kwargs=kw) for n, kw in splits.items()]

    body = {
        "name": builder.name,
        "_split_generators": generators,
        "url_infos": {},  # nothing is downloaded
        "pkg_dir_path": epath.Path(inspect.getfile(builder)).parent,
    }
    kind = types.new_class(
        builder.__name__, (builder,), {"skip_registration": True}, lambda names: names.update(body)
    )
    made = kind(config=config, data_dir=str(folder), file_format="array_record")
    made.download_and_prepare()
    return str(folder)


@pytest.fixture
def no_tensorflow(monkeypatch):
    """Gives modules of TFDS that use TensorFlow to open files (or for a dtype) what Python has."""

    def patch(module: str):
        found = importlib.import_module(f"tensorflow_datasets.{module}")
        gfile = types.SimpleNamespace(GFile=open, exists=os.path.exists, listdir=os.listdir)
        errors = types.SimpleNamespace(NotFoundError=FileNotFoundError)
        stub = types.SimpleNamespace(
            io=types.SimpleNamespace(gfile=gfile), errors=errors, int32=np.int32
        )
        monkeypatch.setattr(found, "tf", stub)
        return found

    return patch


def told(task, split: str, data) -> list:
    """Examples without their order (TFDS shuffles) and without numbers that only files give."""
    made = examples(TASKS[task], split, str(data))
    return sorted((e.input, e.target, str(e.truth), e.group, e.choices) for e in made)


def numbers(task, split: str, data) -> list:
    return sorted(e.id for e in examples(TASKS[task], split, str(data)))


GLUE = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "qqp": "QQP",
    "stsb": "STS-B",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
}
THREE = {"train": "train", "validation": "dev", "test": "test"}


def glue_splits(config: str, files) -> dict[str, dict]:
    def file(name: str, split: str, mrpc=None) -> dict:
        return {"data_file": str(files / name), "split": split, "mrpc_files": mrpc}

    if config == "mrpc":
        folder = files / "MRPC"
        mrpc = {
            "train": folder / "msr_paraphrase_train.txt",
            "dev_ids": folder / "dev_ids.tsv",
            "test": folder / "msr_paraphrase_test.txt",
        }
        return {split: file("MRPC", name, mrpc) for split, name in THREE.items()}
    if config == "ax":
        return {"test": file("diagnostic/diagnostic.tsv", "test")}
    if config.startswith("mnli"):
        kind = config.partition("_")[2]
        names = (
            {"validation": f"dev_{kind}", "test": f"test_{kind}"}
            if kind
            else {
                "train": "train",
                "validation_matched": "dev_matched",
                "validation_mismatched": "dev_mismatched",
            }
        )
        return {s: file(f"MNLI/{name}.tsv", name.partition("_")[0]) for s, name in names.items()}
    return {s: file(f"{GLUE[config]}/{name}.tsv", name) for s, name in THREE.items()}


@pytest.mark.parametrize("config", [*GLUE, "mrpc", "mnli", "mnli_matched", "mnli_mismatched", "ax"])
def test_glue(config, files, tmp_path):
    builder = tfds.text.glue.Glue
    data = prepared(builder, config, glue_splits(config, files), tmp_path)
    name = f"glue_{config}"
    # MRPC's test file has labels where it is published, TFDS hides them.
    for split in [s for s in TASKS[name].splits if (config, s) != ("mrpc", "test")]:
        assert told(name, split, files) == told(name, split, data) != []
        assert numbers(name, split, files) == numbers(name, split, data)
    if config == "wnli":
        simple = "glue_wnli_simple"
        assert told(simple, "test", files) == told(simple, "test", data) != []


SUPER_GLUE = {
    "boolq": "BoolQ",
    "cb": "CB",
    "copa": "COPA",
    "multirc": "MultiRC",
    "record": "ReCoRD",
    "rte": "RTE",
    "wic": "WiC",
    "wsc.fixed": "WSC",
}


@pytest.mark.parametrize("config", [*SUPER_GLUE, "axb", "axg"])
def test_super_glue(config, files, tmp_path, no_tensorflow):
    name = f"super_glue_{config.partition('.')[0]}"
    splits = {"test": {"axb": "AX-b/AX-b.jsonl", "axg": "AX-g/AX-g.jsonl"}.get(config)}
    if config in SUPER_GLUE:
        names = {"train": "train", "validation": "val", "test": "test"}
        splits = {s: f"{SUPER_GLUE[config]}/{file}.jsonl" for s, file in names.items()}
    arguments = {s: {"data_file": str(files / f), "split": s} for s, f in splits.items()}
    builder = no_tensorflow("text.super_glue").SuperGlue
    data = prepared(builder, config, arguments, tmp_path)
    for split in splits:
        assert told(name, split, files) == told(name, split, data) != []
        assert numbers(name, split, files) == numbers(name, split, data)


def builder_of(name: str):
    module = f"tensorflow_datasets.datasets.{name}.{name}_dataset_builder"
    return importlib.import_module(module).Builder


@pytest.mark.parametrize(
    ("task", "config", "key", "splits"),
    [
        (
            "squad",
            "v1.1",
            "filepath",
            {"train": "train-v1.1.json", "validation": "dev-v1.1.json"},
        ),
        (
            "bool_q",
            None,
            "file_path",
            {"train": "boolq/train.jsonl", "validation": "boolq/dev.jsonl"},
        ),
        (
            "lambada",
            None,
            "filepath",
            {
                "train": "lambada_development_plain_text.txt",
                "test": "lambada_test_plain_text.txt",
            },
        ),
    ],
    ids=["squad", "boolq", "lambada"],
)
def test_others(task, config, key, splits, files, tmp_path):
    arguments = {split: {key: files / name} for split, name in splits.items()}
    data = prepared(builder_of(task), config, arguments, tmp_path)
    names = {"bool_q": ("boolq",), "lambada": ("lambada", "lambada_blank")}
    for name in names.get(task, ("squad", "squad_context_free")):
        for split in TASKS[name].splits:
            assert told(name, split, files) == told(name, split, data) != []


def test_pronouns(files, tmp_path):
    builder = tfds.text.definite_pronoun_resolution.DefinitePronounResolution
    arguments = {s: {"filepath": str(files / f"{s}.c.txt")} for s in ("train", "test")}
    data = prepared(builder, None, arguments, tmp_path)
    for split in ("train", "test"):
        assert told("dpr", split, files) == told("dpr", split, data) != []


def test_trivia_qa(files, tmp_path, no_tensorflow):
    builder = no_tensorflow("datasets.trivia_qa.trivia_qa_dataset_builder").Builder
    evidence = files / "evidence"
    for config, task, names in (
        ("rc", "trivia_qa", "qa/web-{0}.json qa/wikipedia-{0}.json"),
        ("unfiltered.nocontext", "trivia_qa_open", "triviaqa-unfiltered/unfiltered-web-{0}.json"),
    ):
        arguments = {
            split: {
                "files": [str(files / name) for name in names.format(file).split()],
                "web_dir": str(evidence / "web"),
                "wiki_dir": str(evidence / "wikipedia"),
            }
            for split, file in (("train", "train"), ("validation", "dev"))
        }
        data = prepared(builder, config, arguments, tmp_path / config)
        for split in ("train", "validation"):
            assert told(task, split, files) == told(task, split, data) != []


def test_cnn_dailymail(files, tmp_path, no_tensorflow):
    module = no_tensorflow("summarization.cnn_dailymail")
    paths = {"cnn_stories": str(files), "dm_stories": str(files)}
    names = {"train": "train", "validation": "val", "test": "test"}
    for file in names.values():
        paths[f"{file}_urls"] = str(files / f"url_lists/all_{file}.txt")
    arguments = {
        split: {"files": module._subset_filenames(paths, getattr(tfds.Split, split.upper()))}
        for split in names
    }
    data = prepared(module.CnnDailymail, None, arguments, tmp_path)
    for split in names:
        assert told("cnn_dailymail", split, files) == told("cnn_dailymail", split, data) != []
    made = next(examples(TASKS["cnn_dailymail"], "test", str(files)))
    assert made.input == "summarize: (CNN) -- It rained. A man with a hat."
    assert made.target == "Rain fell.\nIt stopped."


def test_xsum(files, tmp_path, no_tensorflow):
    module = no_tensorflow("summarization.xsum")
    split_ids = json.loads((files / "XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json").read_text())
    path = str(files / "xsum-extracts-from-downloads")
    arguments = {s: {"split_ids": ids, "path": path} for s, ids in split_ids.items()}
    data = prepared(module.Xsum, None, arguments, tmp_path)
    for split in split_ids:
        assert told("xsum", split, files) == told("xsum", split, data) != []


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_wmt_reads_as_tfds_does(files, split):
    wmt = importlib.import_module("tensorflow_datasets.translate.wmt")
    builder = importlib.import_module("tensorflow_datasets.translate.wmt14").Wmt14Translate
    expected = []
    for name in builder._subsets.fget(None)[getattr(tfds.Split, split.upper())]:
        corpus = wmt.DATASET_MAP[name]
        if "de" in corpus.sources:
            pair = [str(files / path) for path in corpus.get_path("de")]
            expected += [e for _, e in wmt._parse_parallel_sentences(*pair) if all(e.values())]
    made = [(e.input, e.target) for e in examples(TASKS["wmt14_ende"], split, str(files))]
    prefix = "translate English to German: "
    assert made == [(prefix + e["en"], e["de"]) for e in expected] != []


def test_the_wmt_files_are_those_of_tfds():
    """Every corpus that TFDS reads for a pair, in its order, where it is parallel text."""
    wmt = importlib.import_module("tensorflow_datasets.translate.wmt")
    for name in ("wmt14_ende", "wmt14_enfr", "wmt15_enfr", "wmt16_enro", "wmt_t2t_ende"):
        year, code = name.split("_")[-2], name[-2:]
        module = "wmt_t2t" if year == "t2t" else year
        found = importlib.import_module(f"tensorflow_datasets.translate.{module}")
        kind = next(v for k, v in vars(found).items() if k.endswith("Translate"))
        layout = TASKS[name].source.layouts[1]
        for split, files in layout.files:
            corpora = [
                wmt.DATASET_MAP[one]
                for one in kind._subsets.fget(None)[getattr(tfds.Split, split.upper())]
                if code in wmt.DATASET_MAP[one].sources
            ]
            paths = [path for corpus in corpora for path in corpus.get_path(code)[::-1]]
            assert [name.removesuffix(".gz") for name in paths] == list(files)


def test_tfrecords_are_read_as_array_records_are(files, tmp_path):
    splits = glue_splits("stsb", files)
    prepared(tfds.text.glue.Glue, "stsb", splits, tmp_path)
    before = told("glue_stsb", "train", tmp_path)
    (folder,) = (tmp_path / "glue/stsb").iterdir()
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    for path in folder.glob("*.array_record-*"):
        frames = b""
        for record in record_files.array_records(str(path), 0, -1):
            length = struct.pack("<Q", len(record))
            sums = [struct.pack("<I", int(s)) for s in masked_crc32c([length, record])]
            frames += length + sums[0] + record + sums[1]
        path.with_name(path.name.replace("array_record", "tfrecord")).write_bytes(frames)
        path.unlink()
    assert told("glue_stsb", "train", tmp_path) == before != []


def test_a_set_that_is_not_prepared_is_refused_with_the_command_for_it(tmp_path):
    with pytest.raises(UserError, match=r"CoLA/train.tsv.*tfds_prepare glue/cola") as error:
        list(examples(TASKS["glue_cola"], "train", str(tmp_path)))
    assert "\n" not in str(error.value)
