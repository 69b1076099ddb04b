"""Tasks as instructions in plain English, several wordings each (FLAN, Wei et al. 2022, arXiv:2109.01652).

`NAME_instructed` is the task NAME so posed. Of the training split every example stands there once in
every wording, one after the other, as FLAN's mixtures of ten templates a task hold it; of the others in
the first wording alone, so that scores count every example once. The wordings are ours.
"""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from t2t.tasks.fields import filled
from t2t.tasks.labels import UNLABELLED
from t2t.tasks.task import Example, Record, Task

SUFFIX = "_instructed"
WORDINGS = 5  # of every task, so that tasks are mixed by their sizes and not by these
OPTIONS = "\nOptions: {options}."


class Instructions(NamedTuple):
    """templates: with {column}s of the record, and {options}. answers: words for the labels, by number;
    () where the task's own targets stay."""

    templates: tuple[str, ...]
    answers: tuple[str, ...] = ()


_SENTIMENT = Instructions(
    (
        "{sentence}\nIs this review of a film positive or negative?",
        "Here is what somebody wrote about a film: {sentence}\nDid they like it?" + OPTIONS,
        "Say whether the writer of this sentence is pleased.\n{sentence}" + OPTIONS,
        "Film review: {sentence}\nThe feeling of this review is:",
        "How does the following sound, {options}?\n{sentence}",
    ),
    ("negative", "positive"),
)
_ACCEPTABILITY = Instructions(
    (
        "{sentence}\nIs this sentence grammatical?" + OPTIONS,
        "Would a speaker of English say this? {sentence}" + OPTIONS,
        "Check the grammar of the sentence: {sentence}\nIs it correct?",
        "Is the following good English?\n{sentence}" + OPTIONS,
        'A linguist asks whether one can say "{sentence}". What is the answer, {options}?',
    ),
    ("no", "yes"),
)
_SAME = (
    "{a}\n{b}\nDo these two say the same?" + OPTIONS,
    "First: {a}\nSecond: {b}\nIs the second a paraphrase of the first?" + OPTIONS,
    'Does "{a}" mean what "{b}" means?',
    "Compare the two.\n1. {a}\n2. {b}\nHave they the same meaning, {options}?",
    "Could one write this: {a}\nin place of this: {b}" + OPTIONS,
)
_FOLLOWS = (
    "{premise}\nDoes it follow that {hypothesis}" + OPTIONS,
    "Read this: {premise}\nIs it true that {hypothesis}" + OPTIONS,
    "Premise: {premise}\nHypothesis: {hypothesis}\nDoes the premise entail the hypothesis, {options}?",
    "Suppose that {premise}\nCan we conclude: {hypothesis}" + OPTIONS,
    "{premise}\nFrom this text alone, what is to be said of the claim: {hypothesis}" + OPTIONS,
)
_ANSWERS = Instructions(
    (
        "{passage}\nAnswer the question: {question}?" + OPTIONS,
        "Read the text and answer, {options}.\nText: {passage}\nQuestion: {question}?",
        "{question}? The answer is in this text: {passage}" + OPTIONS,
        "According to the passage, {question}?\nPassage: {passage}",
        "Text: {passage}\nIs the answer to this question yes or no? {question}?",
    ),
    ("no", "yes"),
)
_ANSWERED = Instructions(
    (
        "Question: {question}\nSentence: {sentence}\nDoes the sentence answer it?" + OPTIONS,
        "{sentence}\nDoes that tell us: {question}" + OPTIONS,
        "Somebody asks: {question}\nIs this an answer? {sentence}" + OPTIONS,
        "Can one find the answer to the question in the sentence, {options}?\n{question}\n{sentence}",
        "I want to know: {question}\nDoes the following help? {sentence}",
    ),
    ("yes", "no"),
)
_SENSE = Instructions(
    (
        "{sentence1}\n{sentence2}\nDoes {word} mean the same in both?" + OPTIONS,
        'Is "{word}" used in one sense here?\n1. {sentence1}\n2. {sentence2}' + OPTIONS,
        "The word is {word}. First: {sentence1} Second: {sentence2} The same meaning, {options}?",
        "Compare how {word} is used in these.\n{sentence1}\n{sentence2}\nIs it the same sense?",
        'Has "{word}" in "{sentence1}" the meaning that it has in "{sentence2}"' + "?" + OPTIONS,
    ),
    ("no", "yes"),
)
_SIMILARITY = Instructions(
    (
        "{sentence1}\n{sentence2}\nHow alike are these, from 0 to 5?",
        "On a scale of 0 to 5, how much the same do the two mean?\n1. {sentence1}\n2. {sentence2}",
        'Rate how close "{sentence1}" is to "{sentence2}" (0 is unrelated, 5 is the same).',
        "First: {sentence1}\nSecond: {sentence2}\nGive their similarity as a number up to 5.",
        "Score these sentences for likeness between 0.0 and 5.0: {sentence1} | {sentence2}",
    )
)


def _renamed(templates: tuple[str, ...], **columns: str) -> tuple[str, ...]:
    """The templates with columns of other names."""
    for name, column in columns.items():
        templates = tuple(one.replace(f"{{{name}}}", f"{{{column}}}") for one in templates)
    return templates


def _same(first: str, second: str) -> Instructions:
    return Instructions(_renamed(_SAME, a=first, b=second), ("no", "yes"))


def _follows(*answers: str, premise: str = "premise", hypothesis: str = "hypothesis"):
    return Instructions(_renamed(_FOLLOWS, premise=premise, hypothesis=hypothesis), answers)


def _translation(source: str, language: str, target: str) -> Instructions:
    column = f"{{{source}}}"
    return Instructions(
        (
            f"Translate to {target}: {column}",
            f"{column}\nHow do you say this in {target}?",
            f"Write the {language} sentence in {target}.\n{column}",
            f"{language}: {column}\n{target}:",
            f"What is the {target} for: {column}",
        )
    )


def _summary(column: str) -> Instructions:
    text = f"{{{column}}}"
    return Instructions(
        (
            f"Summarize: {text}",
            f"{text}\nWrite a short summary of this article.",
            f"What is the following article about?\n{text}",
            f"Article: {text}\nSummary:",
            f"Tell in brief what this says.\n{text}",
        )
    )


_PAIR = {"premise": "sentence1", "hypothesis": "sentence2"}
_MNLI = _follows("yes", "it is not possible to tell", "no")
INSTRUCTIONS: dict[str, Instructions] = {
    "glue_sst2": _SENTIMENT,
    "sst2_sentences": _SENTIMENT,
    "glue_cola": _ACCEPTABILITY,
    "glue_mrpc": _same("sentence1", "sentence2"),
    "glue_qqp": _same("question1", "question2"),
    "glue_stsb": _SIMILARITY,
    "glue_mnli": _MNLI,
    "glue_mnli_matched": _MNLI,
    "glue_mnli_mismatched": _MNLI,
    "glue_qnli": _ANSWERED,
    "glue_rte": _follows("yes", "no", **_PAIR),
    "super_glue_rte": _follows("yes", "no"),
    "super_glue_cb": _follows("yes", "no", "it is not possible to tell"),
    "super_glue_wic": _SENSE,
    "boolq": _ANSWERS,
    "super_glue_boolq": _ANSWERS,
    "multi30k_ende": _translation("en", "English", "German"),
    "multi30k_deen": _translation("de", "German", "English"),
    "wmt16_enro": _translation("en", "English", "Romanian"),
    "xsum": _summary("document"),
    "cnn_dailymail": _summary("article"),
}


def instructed(task: Task) -> Task:
    """The task so posed, its name with the suffix. Raises KeyError for one without instructions."""
    templates, answers = INSTRUCTIONS[task.name]

    def examples(record: Record, split: str) -> Iterable[Example]:
        for one in task.examples(record, split):
            shown = {**record, "options": " or ".join(answers)}
            if answers:
                told = UNLABELLED if one.truth is None else answers[one.truth]
                one = dataclasses.replace(one, target=told, choices=answers)
            for template in templates if split == "train" else templates[:1]:
                yield dataclasses.replace(one, input=filled(template, shown), texts=())

    labels = answers or task.labels
    return dataclasses.replace(task, name=task.name + SUFFIX, examples=examples, labels=labels)
