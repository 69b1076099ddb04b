"""GLUE as T5 poses it: nine tasks and the diagnostic set (AX).

Files: the GLUE download's folders (`SST-2/train.tsv`, or the zips they come in), the original
releases of CoLA (zip), MRPC (msr_paraphrase_*.txt) and the STS benchmark, or JSONL with TFDS's names.
Lengths 512/84 (T5). Raffel et al. 2020, appendix D; averages in t2t.evaluation.averages. Plain texts
(see `Example`) stand in the order of BERT's run_classifier.py: a premise is the first.
"""

import functools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from t2t.tasks.fields import text
from t2t.tasks.labels import UNLABELLED, labelled, own_number, read_label
from t2t.tasks.published_files import every, jsonl, renamed, table
from t2t.tasks.task import Example, Layout, Placed, Record, Source, Task
from t2t.tasks.winograd import read_referent, wnli_example

SPLITS = ("train", "validation", "test")
LENGTHS = {"inputs_length": 512, "targets_length": 84}
ENTAILMENT = ("entailment", "not_entailment")
NLI = ("entailment", "neutral", "contradiction")
_NLI_TEXTS = ("{premise}", "{hypothesis}")

_tsv = functools.partial(table, ragged=True)


def _folder(folder: str, names: dict[str, str], splits: dict[str, str] | None = None) -> Layout:
    """The GLUE download: train.tsv, dev.tsv and test.tsv with a header."""
    splits = splits or {"train": "train", "validation": "dev", "test": "test"}
    made = tuple((split, (f"{folder}/{file}.tsv",)) for split, file in splits.items())
    return Layout(made, renamed(_tsv, names))


def _json(name: str, splits: tuple[str, ...] = SPLITS) -> Layout:
    """JSONL with TFDS's names and label numbers: `glue_sst2.validation.jsonl`."""
    return Layout(tuple((split, (f"{name}.{split}.jsonl",)) for split in splits), jsonl)


def _task(
    name: str,
    keys: tuple[str, ...],
    labels: tuple[str, ...],
    metrics: tuple[str, ...],
    layouts: tuple[Layout, ...],
    *,
    benchmark: str = "",
    splits: tuple[str, ...] = SPLITS,
    judged: str = "validation",
    texts: tuple[str, ...] | None = None,
) -> Task:
    return Task(
        name=f"glue_{name}",
        suite="GLUE",
        source=Source(f"glue/{name}", layouts=(*layouts, _json(f"glue_{name}", splits))),
        splits=splits,
        examples=labelled(benchmark or name, labels, keys, texts),
        read=read_label,
        metrics=metrics,
        judged=judged,
        labels=labels,
        **LENGTHS,
    )


def _same(*columns: str) -> dict[str, str]:
    return {column: column for column in columns} | {"label": "(label)"}


# --- CoLA: only the test file has a header ------------------------------------------------------

_COLA_COLUMNS = ("source", "label", "mark", "sentence")
_COLA = Layout(
    (("train", ("CoLA/train.tsv",)), ("validation", ("CoLA/dev.tsv",))),
    renamed(functools.partial(_tsv, columns=_COLA_COLUMNS), _same("sentence")),
)
_COLA_TEST = Layout((("test", ("CoLA/test.tsv",)),), renamed(_tsv, {"sentence": "sentence"}))
_RAW = "cola_public_1.1.zip/cola_public/raw"
_COLA_RELEASE = Layout(  # GLUE's development set is the release's two, one after the other
    (
        ("train", (f"{_RAW}/in_domain_train.tsv",)),
        ("validation", (f"{_RAW}/in_domain_dev.tsv", f"{_RAW}/out_of_domain_dev.tsv")),
    ),
    renamed(every(functools.partial(_tsv, columns=_COLA_COLUMNS)), _same("sentence")),
)

# --- MRPC: GLUE's validation set is a part of the official training file ------------------------

_MRPC_NAMES = {"sentence1": "#1 String", "sentence2": "#2 String", "label": "(Quality)"}


def _mrpc_part(validation: bool):
    def records(path: str, ids: str) -> Iterator[Placed]:
        chosen = {(row["first"], row["second"]) for _, row in _tsv(ids, ("first", "second"))}
        published = (row for _, row in _tsv(path))
        for (place, record), row in zip(renamed(_tsv, _MRPC_NAMES)(path), published, strict=True):
            if ((row["#1 ID"], row["#2 ID"]) in chosen) == validation:
                yield place, record

    return records


def _mrpc_rest(path: str, validation: str) -> Iterator[Placed]:
    """The training rows that are not among the validation examples, which number them by row."""
    numbers = {record["idx"] for _, record in jsonl(validation)}
    for place, record in renamed(_tsv, _MRPC_NAMES)(path):
        if record["idx"] not in numbers:
            yield place, record


_MRPC_TRAIN = ("MRPC/msr_paraphrase_train.txt", "MRPC/dev_ids.tsv")
_MRPC = (
    Layout((("train", _MRPC_TRAIN),), _mrpc_part(False)),
    Layout((("validation", _MRPC_TRAIN),), _mrpc_part(True)),
    Layout((("test", ("MRPC/msr_paraphrase_test.txt",)),), renamed(_tsv, _MRPC_NAMES)),
    _folder("MRPC", _MRPC_NAMES),
    Layout((("train", ("mrpc_official.train.txt", "glue_mrpc.validation.jsonl")),), _mrpc_rest),
    Layout((("test", ("mrpc_official.test.txt",)),), renamed(_tsv, _MRPC_NAMES)),
)

# --- STS-B: a number as text --------------------------------------------------------------------


def stsb_example(record: Record, split: str) -> Iterable[Example]:
    """The similarity rounded to the nearest 0.2, with one decimal (T5)."""
    shown = f"stsb sentence1: {text(record, 'sentence1')} sentence2: {text(record, 'sentence2')}"
    label = record.get("label", "")
    try:
        score = -1.0 if label in ("", None) else float(label)
    except (TypeError, ValueError):
        raise ValueError(f"field 'label' is {label!r}, not a number") from None
    hidden = score == -1.0
    # In float32, as T5: the ties (0.1, 0.3, ...) fall the same way.
    rounded = np.round(np.float32(score) * np.float32(5)) / np.float32(5)
    target = UNLABELLED if hidden else f"{rounded:.1f}"
    # The truth is the rounded number: T5 reads the target's text back.
    yield Example(shown, target, None if hidden else float(target), id=own_number(record))


def read_number(prediction: str, example: Example) -> float | None:
    """Reads a number; None for what is none."""
    try:
        number = float(prediction)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_STSB_COLUMNS = ("genre", "file", "year", "number", "label", "sentence1", "sentence2")
_STSB = (
    _folder("STS-B", {"sentence1": "sentence1", "sentence2": "sentence2", "label": "(score)"}),
    Layout(  # the STS benchmark's own release, without a header
        tuple(
            (split, (f"stsb.{file}.tsv",))
            for split, file in (("train", "train"), ("validation", "dev"), ("test", "test"))
        ),
        renamed(functools.partial(_tsv, columns=_STSB_COLUMNS), _same("sentence1", "sentence2")),
    ),
)

# --- The tasks ----------------------------------------------------------------------------------

_MNLI_NAMES = {"premise": "sentence1", "hypothesis": "sentence2", "label": "(gold_label)"}
_DEV_TEST = ("validation", "test")


def _mnli(kind: str) -> Task:
    files = {"validation": f"dev_{kind}", "test": f"test_{kind}"}
    return _task(
        f"mnli_{kind}",
        ("hypothesis", "premise"),
        NLI,
        ("accuracy",),
        (_folder("MNLI", _MNLI_NAMES, files),),
        benchmark="mnli",
        splits=_DEV_TEST,
        texts=_NLI_TEXTS,
    )


_PAIR = _same("sentence1", "sentence2")
_WNLI = (_folder("WNLI", _PAIR),)

TASKS: tuple[Task, ...] = (
    _task(
        "cola",
        ("sentence",),
        ("unacceptable", "acceptable"),
        ("matthews_corrcoef",),
        (_COLA, _COLA_TEST, _COLA_RELEASE),
    ),
    _task(
        "sst2",
        ("sentence",),
        ("negative", "positive"),
        ("accuracy",),
        (_folder("SST-2", _same("sentence")),),
    ),
    Task(  # whole sentences only, without GLUE's phrases: 6,920 to train on
        name="sst2_sentences",
        suite="GLUE",
        source=Source(
            layouts=(
                Layout(
                    tuple(
                        (split, (f"sst2_sentences.{file}.tsv",))
                        for split, file in zip(SPLITS, ("train", "dev", "test"), strict=True)
                    ),
                    renamed(
                        functools.partial(_tsv, columns=("label", "sentence")), _same("sentence")
                    ),
                ),
            )
        ),
        splits=SPLITS,
        examples=labelled("sst2", ("negative", "positive"), ("sentence",)),
        read=read_label,
        metrics=("accuracy",),
        labels=("negative", "positive"),
        **LENGTHS,
    ),
    _task(
        "mrpc",
        ("sentence1", "sentence2"),
        ("not_equivalent", "equivalent"),
        ("f1", "accuracy"),
        _MRPC,
    ),
    _task(
        "qqp",
        ("question1", "question2"),
        ("not_duplicate", "duplicate"),
        ("f1", "accuracy"),
        (
            _folder(
                "QQP",
                {"question1": "question1", "question2": "question2", "label": "(is_duplicate)"},
            ),
        ),
    ),
    Task(
        name="glue_stsb",
        suite="GLUE",
        source=Source("glue/stsb", layouts=(*_STSB, _json("glue_stsb"))),
        splits=SPLITS,
        examples=stsb_example,
        read=read_number,
        metrics=("pearson_corrcoef", "spearman_corrcoef"),
        **LENGTHS,
    ),
    _task(
        "mnli",
        ("hypothesis", "premise"),
        NLI,
        ("accuracy",),
        (
            _folder(
                "MNLI",
                _MNLI_NAMES,
                {
                    "train": "train",
                    "validation_matched": "dev_matched",
                    "validation_mismatched": "dev_mismatched",
                },
            ),
        ),
        splits=("train", "validation_matched", "validation_mismatched"),
        judged="validation_matched",
        texts=_NLI_TEXTS,
    ),
    _mnli("matched"),
    _mnli("mismatched"),
    _task(
        "qnli",
        ("question", "sentence"),
        ENTAILMENT,
        ("accuracy",),
        (
            _folder("QNLI", _same("question", "sentence")),
            Layout(
                (("validation", ("qnli.dev.tsv",)),),
                renamed(_tsv, _same("question", "sentence")),
            ),
        ),
    ),
    _task("rte", ("sentence1", "sentence2"), ENTAILMENT, ("accuracy",), (_folder("RTE", _PAIR),)),
    _task(
        "wnli",
        ("sentence1", "sentence2"),
        ("not_entailment", "entailment"),
        ("accuracy",),
        _WNLI,
    ),
    Task(  # T5's way with WNLI: the pronoun is marked, its referent is the answer; never trained on
        name="glue_wnli_simple",
        suite="GLUE",
        source=Source("glue/wnli", layouts=(*_WNLI, _json("glue_wnli"))),
        splits=_DEV_TEST,
        examples=wnli_example,
        read=read_referent,
        metrics=("accuracy",),
        **LENGTHS,
    ),
    _task(
        "ax",
        ("hypothesis", "premise"),
        NLI,
        ("matthews_corrcoef",),
        (
            Layout(
                (("test", ("diagnostic/diagnostic.tsv",)),),
                renamed(_tsv, {"premise": "sentence1", "hypothesis": "sentence2"}),
            ),
        ),
        benchmark="mnli",
        splits=("test",),
        judged="test",
        texts=_NLI_TEXTS,
    ),
)
