"""The shared books with spans for ERNIE: names as entities, words that keep company as phrases.

    python -m benchmarks.book_spans ../shared/data/corpora/books.validation.jsonl.gz runs/book_spans.jsonl

A stand-in for the segmenter that ERNIE's text comes from. An entity is a run of capitalised words
inside a sentence; a phrase is two to four words, each pair of which stands together five times in the
books or more, and twenty times as often as by chance.
"""

import argparse
import collections
import gzip
import json
import os
import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_TIMES, _OFTENER, _LONGEST = 5, 20.0, 4


def entities(text: str, words: list[tuple[int, int]]) -> list[list]:
    """Runs of capitalised words, none of which begins a sentence."""
    found, joined = [], False
    for i, (begin, end) in enumerate(words):
        before = text[words[i - 1][1] : begin] if i else "\n"
        if not (text[begin].isupper() and before.strip(" ,") == "" and end - begin > 1):
            joined = False
        elif joined and before == " ":
            found[-1][1] = end
        else:
            found.append([begin, end, "entity"])
            joined = True
    return found


def phrases(text: str, words: list[tuple[int, int]], together: set[tuple[str, str]]) -> list[list]:
    """Runs of words of which each keeps company with the next, from the left, at most four."""
    found, i = [], 0
    names = [text[a:b].lower() for a, b in words]
    while i < len(words):
        j = i
        while (
            j + 1 < min(len(words), i + _LONGEST)
            and (names[j], names[j + 1]) in together
            and text[words[j][1] : words[j + 1][0]] == " "
        ):
            j += 1
        if j > i:
            found.append([words[i][0], words[j][1], "phrase"])
        i = j + 1
    return found


def company(texts: list[str]) -> set[tuple[str, str]]:
    """Pairs of words that stand side by side more often than by chance."""
    single: collections.Counter = collections.Counter()
    pairs: collections.Counter = collections.Counter()
    for text in texts:
        names = [m.group().lower() for m in _WORD.finditer(text)]
        single.update(names)
        pairs.update(zip(names, names[1:], strict=False))
    total = sum(single.values())
    return {
        (a, b)
        for (a, b), count in pairs.items()
        if count >= _TIMES and count * total > _OFTENER * single[a] * single[b]
    }


def write(source: str, target: str) -> None:
    """Writes the documents of a JSONL file with their spans."""
    with gzip.open(source, "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    together = company(texts)
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    with open(target + ".new", "w", encoding="utf-8") as file:
        for text in texts:
            words = [m.span() for m in _WORD.finditer(text)]
            spans = entities(text, words) + phrases(text, words, together)
            file.write(json.dumps({"text": text, "spans": spans}) + "\n")
    os.replace(target + ".new", target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="JSONL, gzipped, key `text`")
    parser.add_argument("target", help="JSONL with the key `spans` beside it")
    options = parser.parse_args()
    write(options.source, options.target)


if __name__ == "__main__":
    main()
