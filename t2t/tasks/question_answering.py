"""SQuAD 1.1 and TriviaQA as T5 poses them: `question: ... context: ...`, punctuation set apart.

Files: SQuAD's JSON as published, or JSONL of prompts (`Title: / Background: / Question: / Answer:`
with answers_text); TriviaQA's JSON, with its evidence folder for reading. Lengths 512/97 (T5).
"""

import os
import re
from collections.abc import Iterable, Iterator

from t2t.data import files
from t2t.errors import UserError
from t2t.tasks.published_files import json_document, jsonl
from t2t.tasks.task import Example, Layout, Placed, Record, Source, Task, text_answer

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_SPACE = re.compile(r"[\t\n\f\r ]+")


def pad_punctuation(text: str) -> str:
    """A space on both sides of every ASCII punctuation mark; runs of white space are one space."""
    return _SPACE.sub(" ", _PUNCTUATION.sub(r" \1 ", text))


def _joined(*parts: str) -> str:
    return _SPACE.sub(" ", " ".join(parts))


# --- SQuAD --------------------------------------------------------------------------------------


def squad_example(record: Record, split: str) -> Iterable[Example]:
    """A SQuAD record {id, question, context, answers/text}; the target is the first answer."""
    answers = tuple(pad_punctuation(answer) for answer in record["answers/text"])
    if not answers:
        raise ValueError("field 'answers/text' is empty; SQuAD 1.1 answers every question")
    question, context = pad_punctuation(record["question"]), pad_punctuation(record["context"])
    text = _joined("question:", question, "context:", context)
    yield Example(text, answers[0], answers, id=(record["id"],))


def squad_file(path: str) -> Iterator[Placed]:
    """SQuAD 1.1 as published: data[].paragraphs[].qas[]."""
    for article in json_document(path).get("data", ()):
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield (
                    f"{path}: question {qa['id']}",
                    {
                        "id": qa["id"],
                        "question": qa["question"],
                        "context": paragraph["context"],
                        "answers/text": [answer["text"] for answer in qa["answers"]],
                    },
                )


_PROMPT = re.compile(
    r"Title: .*?\nBackground: (?P<context>.*)\nQuestion: (?P<question>.*)\nAnswer:$", re.DOTALL
)


def squad_prompts(path: str) -> Iterator[Placed]:
    """SQuAD as prompts: {id, query, answers_text}, the question and its context inside `query`."""
    for place, record in jsonl(path):
        found = _PROMPT.match(record.get("query", ""))
        if not found:
            raise UserError(
                f"{place}: field 'query' is not of the form Title:, Background:, Question:, Answer:"
            )
        answers = record["answers_text"]
        yield place, {"id": record["id"], **found.groupdict(), "answers/text": answers}


# --- TriviaQA -----------------------------------------------------------------------------------


def trivia_qa_example(record: Record, split: str) -> Iterable[Example]:
    """Reading: an example for every context and every alias that the context holds (T5).

    Outside training one example a context, judged against all aliases.
    """
    question = pad_punctuation(record["question"])
    aliases = record["answer/normalized_aliases"]
    # T5's: an alias, padded, lower-cased, found in the context padded and lower-cased.
    padded = [pad_punctuation(alias) for alias in aliases]
    contexts = [*record.get("entity_pages/wiki_context", ())]
    contexts += record.get("search_results/search_context", ())
    for context in (pad_punctuation(context) for context in contexts):
        held = [alias for alias in padded if alias.lower() in context.lower()]
        text = _joined("question:", question, "context:", context)
        for alias in held if split == "train" else held[:1]:
            yield Example(text, alias, tuple(aliases), id=(record["question_id"],))


def trivia_qa_open_example(record: Record, split: str) -> Iterable[Example]:
    """Closed book (Roberts et al. 2020): `trivia_qa question: ...`; any alias is right."""
    text = "trivia_qa question: " + record["question"]
    answers = tuple(record["answer/aliases"])
    if not answers:
        raise ValueError("field 'answer/aliases' is empty; the test split has no answers")
    yield Example(text, record["answer/value"], answers, id=(record["question_id"],))


def trivia_qa_file(path: str) -> Iterator[Placed]:
    """TriviaQA as published: Data[] with Question and Answer, evidence in `evidence/` beside it."""
    evidence = os.path.join(os.path.dirname(os.path.dirname(path)), "evidence")
    for entry in json_document(path).get("Data", ()):
        answer = entry.get("Answer", {})
        yield (
            f"{path}: question {entry['QuestionId']}",
            {
                "question": entry["Question"],
                "question_id": entry["QuestionId"],
                "answer/value": answer.get("Value", ""),
                "answer/aliases": answer.get("Aliases", []),
                "answer/normalized_aliases": answer.get("NormalizedAliases", []),
                "entity_pages/wiki_context": _pages(
                    entry.get("EntityPages", ()), evidence, "wikipedia"
                ),
                "search_results/search_context": _pages(
                    entry.get("SearchResults", ()), evidence, "web"
                ),
            },
        )


def _pages(pages, evidence: str, folder: str) -> list[str]:
    if not os.path.isdir(evidence):
        return []  # the release without evidence: only the closed-book task can use it
    found = [os.path.join(evidence, folder, page["Filename"]) for page in pages]
    return [files.read_bytes(path).decode(errors="replace") for path in found]


_TRIVIA_LISTS = (
    "answer/aliases",
    "answer/normalized_aliases",
    "entity_pages/wiki_context",
    "search_results/search_context",
)


def _trivia_layout(kind: str) -> Layout:
    names = {"train": f"{kind}-train.json", "validation": f"{kind}-dev.json"}
    folder = "triviaqa-unfiltered" if kind == "unfiltered-web" else "qa"
    return Layout(tuple((s, (f"{folder}/{f}",)) for s, f in names.items()), trivia_qa_file)


TASKS: tuple[Task, ...] = (
    Task(
        name="squad",
        suite="SQuAD",
        source=Source(
            "squad/v1.1",
            ("answers/text", "answers/answer_start"),
            (
                Layout(
                    (("train", ("train-v1.1.json",)), ("validation", ("dev-v1.1.json",))),
                    squad_file,
                ),
                Layout((("validation", ("squad_v1_val1000.jsonl",)),), squad_prompts),
            ),
        ),
        splits=("train", "validation"),
        examples=squad_example,
        read=text_answer,
        metrics=("squad",),
        targets_length=97,
    ),
    Task(
        name="trivia_qa",
        suite="TriviaQA",
        source=Source(
            "trivia_qa/rc",
            _TRIVIA_LISTS,
            (_trivia_layout("wikipedia"), _trivia_layout("web")),
        ),
        splits=("train", "validation"),
        examples=trivia_qa_example,
        read=text_answer,
        metrics=("trivia_qa",),
        targets_length=97,
    ),
    Task(
        name="trivia_qa_open",
        suite="TriviaQA",
        source=Source(
            "trivia_qa/unfiltered.nocontext",
            _TRIVIA_LISTS,
            (_trivia_layout("unfiltered-web"), _trivia_layout("wikipedia"), _trivia_layout("web")),
        ),
        splits=("train", "validation"),
        examples=trivia_qa_open_example,
        read=text_answer,
        metrics=("trivia_qa",),
        inputs_length=128,
        targets_length=97,
    ),
)
