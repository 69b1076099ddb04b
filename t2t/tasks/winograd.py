"""Pronouns as T5 poses them: the pronoun is marked, what it refers to is the answer.

WSC (SuperGLUE), the definite pronoun resolution set (DPR) and WNLI (GLUE) take the same form:
`wsc: Bob asked Tom if *he* can lend some money.` with the target `Tom`.
"""

import re
from collections.abc import Iterable, Iterator

from t2t.errors import UserError
from t2t.tasks.fields import integer, text, texts
from t2t.tasks.labels import BOOLEANS, label_number, own_number
from t2t.tasks.published_files import lines_of
from t2t.tasks.task import Example, Placed, Record

PREFIX = "wsc: "
_DETERMINERS = frozenset(
    [
        "a",
        "an",
        "few",
        "her",
        "his",
        "each",
        "every",
        "many",
        "much",
        "my",
        "our",
        "some",
        "that",
        "the",
        "their",
        "these",
        "this",
        "those",
        "which",
        "whose",
        "your",
    ]
)
_PRONOUNS = frozenset(["he", "she", "they", "it", "her", "his", "their", "them", "him"])
_STOPS = (".", ",", "!", "?")

# Two WSC texts whose index is not that of the pronoun, or whose pronoun touches punctuation.
_MENDED = {
    "The boy continued to whip the pony , and eventually the pony threw him over. "
    'John laughed out quite loud. "Good for him," he said. ': (
        "The boy continued to whip the pony , and eventually the pony threw him over. "
        'John laughed out quite loud. "Good for X ," he said.'
    ),
    "When they had eventually calmed down a bit , and had gotten home, Mr. Farley put the magic "
    "pebble in an iron safe . Some day they might want to use it , but really for now, what more "
    "could they wish for?": (
        "When they had eventually calmed down a bit , and had gotten home, Mr. Farley put the magic "
        "pebble in an iron safe . Some day they might want to use X , but really for now, what more "
        "could they wish for?"
    ),
}


# --- WSC ----------------------------------------------------------------------------------------


def wsc_spans(published: Record) -> Iterator[Record]:
    """The benchmark's record with its spans beside the text, mended as TFDS's `wsc.fixed` does:
    a span that the text does not hold gets the case of the word at its index, no final stop and no
    line break."""
    record = {**published, **published["target"]}
    for span in ("span1", "span2"):
        said = record[f"{span}_text"]
        if said in record["text"]:
            continue
        if "theyscold" in said:  # one training example
            record["span2_index"] = 10
        word = record["text"].split()[record[f"{span}_index"]]
        first = said[0].lower() if word[0].islower() else said[0].upper()
        record[f"{span}_text"] = (first + said[1:]).rstrip(".").replace("\n", " ")
    yield record


def wsc_example(record: Record, split: str) -> Iterable[Example]:
    """A WSC record {text, span1_text, span2_text, span2_index, label?, idx}.

    The target is the noun asked about, whether or not the pronoun refers to it; the truth is
    whether it does. In the training split only right pairs are kept (T5).
    """
    number = label_number(record.get("label"), BOOLEANS)
    if split == "train" and number != 1:
        return
    pronoun, index = text(record, "span2_text"), integer(record, "span2_index")
    words = text(record, "text").split(" ")
    blanked = _MENDED.get(record["text"])
    if blanked is None:
        if not 0 < index < len(words):
            raise ValueError(f"field 'span2_index' is {index}, the text has {len(words)} words")
        if words[index] != pronoun:
            raise ValueError(
                f"field 'span2_index' is {index}: word {words[index]!r}, not {pronoun!r}"
            )
        blanked = " ".join([*words[:index], "X", *words[index + 1 :]])
    marked = blanked.replace(" X ", f" *{pronoun}* ")
    yield Example(PREFIX + marked, text(record, "span1_text"), number, id=own_number(record))


def read_referent(prediction: str, example: Example) -> int | None:
    """1 where the prediction names the example's referent, 0 where it does not, None for nothing.

    T5's rule: case and determiners are ignored; one's words must be among the other's; a possessive
    (an apostrophe) matches only a possessive.
    """
    answer, referent = _without_determiners(prediction), _without_determiners(example.target)
    if not answer:
        return None
    if ("'" in answer) != ("'" in referent):
        return 0
    said, wanted = set(answer.split(" ")), set(referent.split(" "))
    return int(said <= wanted or wanted <= said)


def _without_determiners(text: str) -> str:
    words = text.strip().lower().split(" ")
    return " ".join(word for word in words if word not in _DETERMINERS)


# --- Definite pronoun resolution ----------------------------------------------------------------


def dpr_example(record: Record, split: str) -> Iterable[Example]:
    """A DPR record {sentence, pronoun, candidates, label}; the first fitting pronoun is marked."""
    pattern = re.compile(f" ({re.escape(text(record, 'pronoun'))})( |\\.|,)")
    marked = pattern.sub(r" *\1*\2", text(record, "sentence"), count=1)
    candidates = texts(record, "candidates")
    number = label_number(record["label"], candidates)
    if number is None:
        raise ValueError("field 'label' is empty")
    yield Example(PREFIX + marked, candidates[number], candidates[number])


def dpr_file(path: str) -> Iterator[Placed]:
    """The set's own files: sentence, pronoun, candidates and answer on a line each, then a blank."""
    block: list[tuple[str, str]] = []
    for place, line in lines_of(path):
        if line.strip():
            block.append((place, line.strip()))
        if len(block) == 4:
            sentence, pronoun, candidates, answer = (text for _, text in block)
            names = [name.strip() for name in candidates.split(",")]
            record = {"sentence": sentence, "pronoun": pronoun, "candidates": names}
            yield block[0][0], {**record, "label": answer}
            block = []
    if block:
        raise UserError(f"{block[-1][0]}: the file ends inside an example (four lines each)")


# --- WNLI ---------------------------------------------------------------------------------------


def wnli_example(record: Record, split: str) -> Iterable[Example]:
    """A WNLI record {sentence1, sentence2, label?, idx}: the pronoun of sentence1 that sentence2
    replaces is marked, what stands in its place is the target."""
    premise, hypothesis = text(record, "sentence1"), text(record, "sentence2")
    index, candidate = _replaced_pronoun(_bare_words(premise), _bare_words(hypothesis))
    target = _as_written(candidate, hypothesis)
    words = premise.split(" ")
    word = words[index]
    marked = f"*{word[:-1]}* {word[-1]}" if word.endswith(_STOPS) else f"*{word}*"
    shown = " ".join([*words[:index], marked, *words[index + 1 :]])
    number = label_number(record.get("label"), ("not_entailment", "entailment"))
    yield Example(PREFIX + shown, target, number, id=own_number(record))


def _bare_words(text: str) -> list[str]:
    words = [re.sub(r"[.,?!]$", "", word) for word in text.strip().lower().split(" ")]
    return [word for word in words if word]


def _replaced_pronoun(premise: list[str], hypothesis: list[str]) -> tuple[int, str]:
    """The position of the pronoun whose surroundings the hypothesis repeats longest, and what the
    hypothesis has between them."""
    places = [index for index, word in enumerate(premise) if word in _PRONOUNS]
    if not places:
        raise ValueError("field 'sentence1' holds no pronoun")
    best_score, best = -1, (0, "")
    for index in places:
        before, after = premise[:index], premise[index + 1 :]
        left = _shared_prefix(hypothesis[::-1], before[::-1])
        right = _shared_prefix(hypothesis, after)
        if left + right > best_score:
            candidate = _between(before, after, left, right, hypothesis) if left + right else ""
            best_score, best = left + right, (index, candidate)
    return best


def _shared_prefix(hypothesis: list[str], words: list[str]) -> int:
    """How many first words, joined, the hypothesis holds."""
    whole = " ".join(hypothesis)
    count = 0
    while count < len(words) and " ".join(words[: count + 1]) in whole:
        count += 1
    return count


def _between(before, after, left: int, right: int, hypothesis: list[str]) -> str:
    whole = " ".join(hypothesis)
    head = [re.escape(word) for word in before[len(before) - left :]]
    tail = [re.escape(word) for word in after[:right]]
    for parts in ([*head, r"(.+)", *tail], [r"^(.+)", *tail], [*head, r"(.+)$"]):
        if found := re.search(" ".join(parts), whole):
            return found.group(1)
    return ""


def _as_written(candidate: str, hypothesis: str) -> str:
    """The candidate as the hypothesis writes it, from its last article on, never possessive."""
    words = candidate.split(" ")
    first = max([words.index(article) for article in ("a", "an", "the") if article in words] or [0])
    pattern = " ".join(re.escape(word) + "[.,?!]?" for word in words[first:])
    found = re.search(pattern, hypothesis, re.IGNORECASE)
    if not found:
        raise ValueError(f"field 'sentence2' does not hold {candidate!r}")
    said = found.group(0)
    said = said[:-1] if said.endswith(_STOPS) else said
    return re.sub("('|'s)$", "", said)
