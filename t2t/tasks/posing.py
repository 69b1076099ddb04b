"""How a task stands before models of other stacks than T5's: what joins an answer to its input.

An encoder-decoder is given inputs and targets as they are. A decoder alone goes on with the input, and
an encoder alone finds the answer at masks behind it: for both the answer is the next words of a text,
so a space stands before it. After a prompt of solved examples (few_shot.py), each of which has its
answer in a line of its own, a decoder alone begins that line.

An encoder alone that points at spans (ExtractiveSpans) is given question and context as published; one
that tells classes (Classes) is given the one or two texts of the input as published, or, where it was not
trained so (`plain` is false), the input alone.
"""

from collections.abc import Sequence

from t2t.errors import UserError
from t2t.models.architecture import DECODER, ENCODER, ENCODER_DECODER
from t2t.objectives.classes_config import Classes
from t2t.objectives.extractive_config import ExtractiveSpans
from t2t.tasks.class_answers import answers_of
from t2t.tasks.task import Example


def before_answer(stacks: str, shots: int = 0) -> tuple[str, str]:
    """Returns (what ends an input, what begins its answers)."""
    if stacks == ENCODER_DECODER:
        return "", ""
    return ("\n", "") if shots and stacks == DECODER else ("", " ")


def check_answerable(
    name: str,
    examples: Sequence[Example],
    stacks: str,
    head: ExtractiveSpans | Classes | None = None,
    exactly: bool = False,
) -> None:
    """Raises UserError where a model of these stacks cannot answer: an encoder alone writes no text, one
    whose `head` points at spans needs a context that holds them, and one that tells classes their labels.

    exactly: the choices are to be the labels themselves, as targets that are trained on must be.
    """
    if isinstance(head, Classes):

        def suits(choices: tuple[str, ...]) -> bool:
            return choices == head.labels or not (
                exactly or answers_of(head.labels, choices) is None
            )

        other = next((one.choices for one in examples if not suits(one.choices)), None)
        if other is not None:
            raise UserError(
                f"{name}: its answers are {', '.join(other) or 'free text'}, and the model tells "
                f"{', '.join(head.labels)} (Classes, config.objective); take a task with those"
            )
        return
    if head is not None:
        if not all(example.reading for example in examples):
            raise UserError(
                f"{name}: its answers are no parts of a context, which ExtractiveSpans "
                "(config.objective) points at; take squad, or TextToText for a task with choices"
            )
        return
    if stacks == ENCODER and not all(example.choices for example in examples):
        raise UserError(
            f"{name}: its answers are free text, and the model is {ENCODER}, which chooses among "
            "given words; take a model with a decoder, or a task with choices (of squad an encoder "
            "points at the answer: objective ExtractiveSpans, --config=finetune:squad:FROM)"
        )
