"""SuperGLUE as T5 poses it: eight tasks, AX-b, AX-g, and DPR, which T5 trains on beside WSC.

Files: the benchmark's folders or zips (`BoolQ/val.jsonl`), FewGLUE's 32 training examples each, or
JSONL with TFDS's names. Lengths 512/62 (T5). Raffel et al. 2020, appendix D. Plain texts (see
`Example`) are SuperGLUE's baselines': premise and hypothesis, question and passage, paragraph and question
with answer. WiC's word stands before each of its sentences, which a head of [CLS] alone is not shown
otherwise; COPA has none, there choices are compared and not classes told.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from t2t.tasks import boolq
from t2t.tasks.fields import text, texts
from t2t.tasks.labels import BOOLEANS, UNLABELLED, label_number, labelled, read_label
from t2t.tasks.published_files import flattened, jsonl
from t2t.tasks.task import Example, Layout, Placed, Record, Source, Task, text_answer
from t2t.tasks.winograd import dpr_example, dpr_file, read_referent, wsc_example, wsc_spans

SPLITS = ("train", "validation", "test")
LENGTHS = {"inputs_length": 512, "targets_length": 62}
ENTAILMENT = ("entailment", "not_entailment")


def _layouts(folder: str, name: str, read, more: tuple[Layout, ...]) -> tuple[Layout, ...]:
    """The benchmark's own folder, its files alone (`superglue_CB.val.jsonl`), TFDS-like, FewGLUE."""
    files = {"train": "train", "validation": "val", "test": "test"}

    def named(pattern: str) -> tuple:
        return tuple((split, (pattern.format(file),)) for split, file in files.items())

    return (
        Layout(named(folder + "/{}.jsonl"), read),
        Layout(named(f"superglue_{folder}." + "{}.jsonl"), read),
        Layout(tuple((s, (f"super_glue_{name}.{s}.jsonl",)) for s in SPLITS), jsonl),
        *more,
        Layout((("train", (f"fewglue.zip/FewGLUE/{folder}/train.jsonl",)),), read),
    )


def _task(
    name: str,
    folder: str,
    examples: Callable[[Record, str], Iterable[Example]],
    metrics: tuple[str, ...],
    *,
    labels: tuple[str, ...] = (),
    read: Callable[[str, Example], Any] = read_label,
    files: Callable[..., Iterator[Placed]] = jsonl,
    more: tuple[Layout, ...] = (),
    tfds: str = "",
    lists: tuple[str, ...] = (),
) -> Task:
    """files: reads the benchmark's own. more: layouts besides."""
    return Task(
        name=f"super_glue_{name}",
        suite="SuperGLUE",
        source=Source(f"super_glue/{tfds or name}", lists, _layouts(folder, name, files, more)),
        splits=SPLITS,
        examples=examples,
        read=read,
        metrics=metrics,
        labels=labels,
        **LENGTHS,
    )


# --- MultiRC: one example an answer, judged by question -----------------------------------------


def multirc_answers(published: Record) -> Iterator[Record]:
    """A (paragraph, question, answer) record of every answer to a passage's questions."""
    passage = published["passage"]
    for question in passage["questions"]:
        for answer in question["answers"]:
            yield {
                "paragraph": passage["text"],
                "question": question["question"],
                "answer": answer["text"],
                "label": answer.get("label"),
                "idx/paragraph": published["idx"],
                "idx/question": question["idx"],
                "idx/answer": answer["idx"],
            }


def multirc_example(record: Record, split: str) -> Iterable[Example]:
    """Question, answer, paragraph, without HTML; the answers to one question are one group."""
    keys = ("question", "answer", "paragraph")
    question, answer, paragraph = (
        re.sub("</?b>", "", text(record, key).replace("<br>", " ")) for key in keys
    )
    shown = f"multirc question: {question} answer: {answer} paragraph: {paragraph}"
    number = label_number(record.get("label"), BOOLEANS)
    place = tuple(record[f"idx/{part}"] for part in ("paragraph", "question", "answer"))
    target = UNLABELLED if number is None else BOOLEANS[number]
    # T5 groups by the question's number alone: it is unique in the benchmark.
    plain = (paragraph, f"{question} {answer}")
    yield Example(shown, target, number, group=place[1:2], id=place, choices=BOOLEANS, texts=plain)


# --- ReCoRD: one example an answer in training, one a query when judged --------------------------


def record_queries(published: Record) -> Iterator[Record]:
    """A record of every query to a passage; entities and answers are sorted sets (TFDS)."""
    passage = published["passage"]["text"]
    entities = {passage[e["start"] : e["end"] + 1] for e in published["passage"]["entities"]}
    for query in published["qas"]:
        yield {
            "passage": passage,
            "query": query["query"],
            "entities": sorted(entities),
            "answers": sorted({answer["text"] for answer in query.get("answers", ())}),
            "idx/passage": published["idx"],
            "idx/query": query["idx"],
        }


def record_example(record: Record, split: str) -> Iterable[Example]:
    """`record query: ... entities: a, b passage: ...`, highlights joined to the passage.

    In training every answer is an example of its own; elsewhere the first stands for all (T5 makes
    the copies there too and counts one).
    """
    passage = re.sub("([.?!\"'])\n@highlight\n", r"\1 ", text(record, "passage"))
    passage = passage.replace("\n@highlight\n", ". ")
    entities, answers = ", ".join(texts(record, "entities")), texts(record, "answers")
    shown = f"record query: {text(record, 'query')} entities: {entities} passage: {passage}"
    place = (record["idx/passage"], record["idx/query"])
    targets = answers if split == "train" else answers[:1]
    for target in targets or (UNLABELLED,):
        yield Example(shown, target, answers or None, group=place, id=place)


# --- The tasks ----------------------------------------------------------------------------------


def _diagnostic(
    name: str, folder: str, examples: Callable[[Record, str], Iterable[Example]], metric: str
) -> Task:
    files = (f"{folder}/{folder}.jsonl", f"super_glue_{name}.test.jsonl")
    return Task(
        name=f"super_glue_{name}",
        suite="SuperGLUE",
        source=Source(
            f"super_glue/{name}",
            layouts=tuple(Layout((("test", (file,)),), jsonl) for file in files),
        ),
        splits=("test",),
        examples=examples,
        read=read_label,
        metrics=(metric,),
        judged="test",
        labels=ENTAILMENT,
        **LENGTHS,
    )


_NLI_KEYS = ("hypothesis", "premise")
_CB, _COPA = ("entailment", "contradiction", "neutral"), ("choice1", "choice2")
_NLI_TEXTS = ("{premise}", "{hypothesis}")
_rte = labelled("rte", ENTAILMENT, _NLI_KEYS, _NLI_TEXTS)


def _broad_coverage(record: Record, split: str) -> Iterable[Example]:
    """AX-b, whose sentences T5 takes for premise and hypothesis."""
    renamed = {"premise": text(record, "sentence1"), "hypothesis": text(record, "sentence2")}
    return _rte({**record, **renamed}, split)


TASKS: tuple[Task, ...] = (
    _task(
        "boolq",
        "BoolQ",
        boolq.posed,
        ("accuracy",),
        labels=BOOLEANS,
        more=boolq.COMBINED,
    ),
    _task(
        "cb",
        "CB",
        labelled("cb", _CB, _NLI_KEYS, _NLI_TEXTS),
        ("macro_f1", "accuracy"),
        labels=_CB,
    ),
    _task(
        "copa",
        "COPA",
        labelled("copa", _COPA, (*_COPA, "premise", "question"), texts=()),
        ("accuracy",),
        labels=_COPA,
    ),
    _task(
        "multirc",
        "MultiRC",
        multirc_example,
        ("f1", "exact_match"),
        labels=BOOLEANS,
        files=flattened(jsonl, multirc_answers),
    ),
    _task(
        "record",
        "ReCoRD",
        record_example,
        ("record",),
        read=text_answer,
        files=flattened(jsonl, record_queries),
        lists=("entities", "answers"),
    ),
    _task("rte", "RTE", _rte, ("accuracy",), labels=ENTAILMENT),
    _task(
        "wic",
        "WiC",
        labelled(
            "wic",
            BOOLEANS,
            ("sentence1", "sentence2", "word"),
            texts=("{word} : {sentence1}", "{word} : {sentence2}"),
        ),
        ("accuracy",),
        labels=BOOLEANS,
    ),
    _task(
        "wsc",
        "WSC",
        wsc_example,
        ("accuracy",),
        read=read_referent,
        files=flattened(jsonl, wsc_spans),
        tfds="wsc.fixed",
    ),
    _diagnostic("axb", "AX-b", _broad_coverage, "matthews_corrcoef"),
    _diagnostic("axg", "AX-g", _rte, "accuracy"),
    Task(
        name="dpr",
        suite="SuperGLUE",
        source=Source(
            "definite_pronoun_resolution",
            ("candidates",),
            (Layout((("train", ("train.c.txt",)), ("test", ("test.c.txt",))), dpr_file),),
        ),
        splits=("train", "test"),
        examples=dpr_example,
        read=text_answer,
        metrics=("accuracy",),
        judged="test",
        **LENGTHS,
    ),
)
