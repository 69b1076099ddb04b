"""SQuAD and TriviaQA as T5 poses them: `question: ... context: ...`, punctuation set apart.

SQuAD 2.0 (`squad_v2`), for which T5 has no form, is posed alike; where the context has no answer the
target is UNANSWERABLE.

Files: SQuAD's JSON as published, or JSONL of prompts (`Title: / Background: / Question: / Answer:`
with answers_text); TriviaQA's JSON, with its evidence folder for reading. Lengths 512/97 (T5).
"""

import functools
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator

from t2t.data import files
from t2t.errors import UserError
from t2t.tasks.fields import integer, text, texts
from t2t.tasks.published_files import entries, every, flattened, jsonl
from t2t.tasks.task import Example, Layout, Placed, Reading, Record, Source, Task, text_answer

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_SPACE = re.compile(r"[\t\n\f\r ]+")


def pad_punctuation(text: str) -> str:
    """A space on both sides of every ASCII punctuation mark; runs of white space are one space."""
    return _SPACE.sub(" ", _PUNCTUATION.sub(r" \1 ", text))


def _joined(*parts: str) -> str:
    return _SPACE.sub(" ", " ".join(parts))


# --- SQuAD --------------------------------------------------------------------------------------


def _squad_answers(record: Record) -> tuple[str, ...]:
    answers = tuple(pad_punctuation(answer) for answer in texts(record, "answers/text"))
    if not answers:
        raise ValueError(
            f"question {record['id']}: field 'answers/text' is empty; SQuAD 1.1 answers all"
        )
    return answers


def squad_example(record: Record, split: str) -> Iterable[Example]:
    """A SQuAD record {id, question, context, answers/text}; the target is the first answer."""
    answers = _squad_answers(record)
    question, context = (pad_punctuation(text(record, name)) for name in ("question", "context"))
    shown = _joined("question:", question, "context:", context)
    yield Example(shown, answers[0], answers, id=(record["id"],), reading=_squad_reading(record))


def _squad_reading(record: Record) -> Reading:
    """The record as published, with the place of the first answer: the one that is told where it is
    true, else the first at which the context holds the answer."""
    question, context = (text(record, name) for name in ("question", "context"))
    answer = texts(record, "answers/text")[0]
    told = record.get("answers/answer_start")
    begin = integer({"answers/answer_start": told[0]}, "answers/answer_start") if told else -1
    if begin < 0 or not answer or context[begin : begin + len(answer)] != answer:
        begin = context.find(answer) if answer else -1
    return Reading(question, context, None if begin < 0 else (begin, begin + len(answer)))


UNANSWERABLE = "unanswerable"


def squad_v2_example(record: Record, split: str) -> Iterable[Example]:
    """A SQuAD 2.0 record, which may have no answer: the truth is then the empty text."""
    if texts(record, "answers/text"):
        yield from squad_example(record, split)
        return
    question, context = (text(record, name) for name in ("question", "context"))
    shown = _joined("question:", pad_punctuation(question), "context:", pad_punctuation(context))
    reading = Reading(question, context, unanswerable=True)
    yield Example(shown, UNANSWERABLE, ("",), id=(record["id"],), reading=reading)


def read_answer(prediction: str, example: Example) -> str:
    """Reads an answer as it stands; UNANSWERABLE is none."""
    return "" if prediction.strip() == UNANSWERABLE else prediction


def squad_context_free_example(record: Record, split: str) -> Iterable[Example]:
    """The question alone, from what the model knows (T5's `squad_v010_context_free`)."""
    answers = _squad_answers(record)
    shown = _joined("squad trivia question:", pad_punctuation(text(record, "question")))
    yield Example(shown, answers[0], answers, id=(record["id"],))


def squad_questions(article: Record) -> Iterator[Record]:
    """A record of every question of an article: paragraphs[].qas[], as published."""
    for paragraph in article["paragraphs"]:
        for qa in paragraph["qas"]:
            yield {
                "id": qa["id"],
                "question": qa["question"],
                "context": paragraph["context"],
                "answers/text": [answer["text"] for answer in qa["answers"]],
                "answers/answer_start": [
                    answer.get("answer_start", -1) for answer in qa["answers"]
                ],
            }


_PROMPT = re.compile(
    r"Title: .*?\nBackground: (?P<context>.*)\nQuestion: (?P<question>.*)\nAnswer:$", re.DOTALL
)


def squad_prompts(path: str) -> Iterator[Placed]:
    """SQuAD as prompts: {id, query, answers_text}, the question and its context inside `query`."""
    for place, record in jsonl(path):
        found = _PROMPT.match(str(record.get("query")))
        if not found:
            raise UserError(
                f"{place}: field 'query' is not of the form Title:, Background:, Question:, Answer:"
            )
        answers = record.get("answers_text")
        yield place, {"id": record.get("id"), **found.groupdict(), "answers/text": answers}


_SQUAD_PROMPTS = Layout((("validation", ("squad_v1_val1000.jsonl",)),), squad_prompts)


def _squad(
    name: str,
    examples: Callable[[Record, str], Iterable[Example]],
    extractive: bool = False,
    version: str = "1.1",
) -> Task:
    published = functools.partial(entries, key="data")
    return Task(
        name=name,
        suite="SQuAD",
        source=Source(
            f"squad/v{version}",
            ("answers/text", "answers/answer_start"),
            (
                Layout(
                    (
                        ("train", (f"train-v{version}.json",)),
                        ("validation", (f"dev-v{version}.json",)),
                    ),
                    flattened(published, squad_questions),
                ),
                *[_SQUAD_PROMPTS] * (version == "1.1"),
            ),
        ),
        splits=("train", "validation"),
        examples=examples,
        read=text_answer if version == "1.1" else read_answer,
        metrics=("squad",) if version == "1.1" else ("squad_v2",),
        targets_length=97,
        extractive=extractive,
        unanswerable=version != "1.1",
        posed=pad_punctuation,
    )


# --- TriviaQA -----------------------------------------------------------------------------------

# Words of a context that are shown, punctuation counted: about 512 tokens with the question.
_WINDOW = 330


def trivia_qa_example(record: Record, split: str) -> Iterable[Example]:
    """Reading: an example for every context and every alias that the context holds (T5).

    A long context is cut to a window around the alias, its place drawn by the question's id: T5
    does so by tokens, which a task does not know. Outside training there is one example a context,
    judged against all aliases.
    """
    question = pad_punctuation(text(record, "question"))
    aliases = texts(record, "answer/normalized_aliases")
    contexts = [
        one
        for name in ("entity_pages/wiki_context", "search_results/search_context")
        if name in record
        for one in texts(record, name)
    ]
    for number, context in enumerate(pad_punctuation(context) for context in contexts):
        lowered = _lower(context)
        held = [alias for alias in map(pad_punctuation, aliases) if alias.strip()]
        held = [alias for alias in held if _lower(alias) in lowered]
        for alias in held if split == "train" else held[:1]:
            draw = zlib.crc32(f"{record['question_id']} {number}".encode()) / (1 << 32)
            shown = _window(context, lowered.index(_lower(alias)), alias, draw)
            shown = _joined("question:", question, "context:", shown)
            yield Example(shown, alias, aliases, id=(record["question_id"],))


def _lower(text: str) -> bytes:
    """ASCII letters in lower case, as TensorFlow does."""
    return text.encode().lower()


def _window(context: str, place: int, alias: str, draw: float) -> str:
    """_WINDOW words of the context that hold the alias at byte `place`; draw in [0, 1) says which."""
    words = context.split(" ")
    if len(words) <= _WINDOW:
        return context
    first = context.encode()[:place].count(b" ")
    lowest = max(0, first + len(alias.split(" ")) - _WINDOW)
    highest = max(lowest, min(first, len(words) - _WINDOW))
    start = lowest + int(draw * (highest - lowest + 1))
    return " ".join(words[start : start + _WINDOW])


def trivia_qa_open_example(record: Record, split: str) -> Iterable[Example]:
    """Closed book (Roberts et al. 2020): `trivia_qa question: ...`; any alias is right."""
    answers = texts(record, "answer/aliases")
    if not answers:
        raise ValueError("field 'answer/aliases' is empty; the test split has no answers")
    shown = "trivia_qa question: " + text(record, "question")
    yield Example(shown, text(record, "answer/value"), answers, id=(record["question_id"],))


def trivia_qa_file(path: str, contexts: bool) -> Iterator[Placed]:
    """TriviaQA as published: Data[] with Question and Answer; contexts from `evidence/` beside it."""
    evidence = os.path.join(os.path.dirname(os.path.dirname(path)), "evidence")
    if contexts and not os.path.isdir(evidence):
        raise UserError(f"{path}: the evidence is not beside it; there is no folder {evidence}")

    def parts(entry: Record) -> Iterator[Record]:
        answer = entry.get("Answer", {})
        record = {
            "question": entry["Question"].strip(),
            "question_id": entry["QuestionId"],
            "answer/value": answer.get("Value", "").strip(),
            "answer/aliases": [alias.strip() for alias in answer.get("Aliases", ())],
            "answer/normalized_aliases": [a.strip() for a in answer.get("NormalizedAliases", ())],
        }
        for name, key, folder in (
            ("entity_pages/wiki_context", "EntityPages", "wikipedia"),
            ("search_results/search_context", "SearchResults", "web"),
        ):
            if contexts:
                record[name] = _pages(entry.get(key, ()), os.path.join(evidence, folder))
        yield record

    return flattened(functools.partial(entries, key="Data"), parts)(path)


def _pages(pages, folder: str) -> list[str]:
    """The texts of pages, without those that the release lacks (as TFDS does)."""
    names = [page["Filename"] for page in pages if "Filename" in page]
    paths = [os.path.join(folder, name) for name in names]
    found = [path for path in paths if os.path.isfile(path)]
    return [files.read_bytes(path).decode(errors="replace").strip() for path in found]


def _trivia(name: str, tfds: str, examples, kinds: tuple[tuple[str, ...], ...], contexts: bool):
    """The files of each of `kinds` are read together; the first that are all there are taken."""
    read = every(functools.partial(trivia_qa_file, contexts=contexts))
    layouts = tuple(
        Layout(
            tuple(
                (split, tuple(f"{kind}-{file}.json" for kind in together))
                for split, file in (("train", "train"), ("validation", "dev"))
            ),
            read,
        )
        for together in kinds
    )
    return Task(
        name=name,
        suite="TriviaQA",
        source=Source(
            tfds,
            (
                "answer/aliases",
                "answer/normalized_aliases",
                "entity_pages/wiki_context",
                "search_results/search_context",
            ),
            layouts,
        ),
        splits=("train", "validation"),
        examples=examples,
        read=text_answer,
        metrics=("trivia_qa",),
        inputs_length=512 if contexts else 128,
        targets_length=97,
    )


_WIKIPEDIA, _WEB = "qa/wikipedia", "qa/web"

TASKS: tuple[Task, ...] = (
    _squad("squad", squad_example, extractive=True),
    _squad("squad_v2", squad_v2_example, extractive=True, version="2.0"),
    _squad("squad_context_free", squad_context_free_example),
    _trivia(
        "trivia_qa",
        "trivia_qa/rc",
        trivia_qa_example,
        ((_WEB, _WIKIPEDIA), (_WIKIPEDIA,), (_WEB,)),
        contexts=True,
    ),
    _trivia(
        "trivia_qa_open",
        "trivia_qa/unfiltered.nocontext",
        trivia_qa_open_example,
        (("triviaqa-unfiltered/unfiltered-web",), (_WIKIPEDIA,), (_WEB,)),
        contexts=False,
    ),
)
