"""Sample predictions beside their targets, what differs marked."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from t2t.monitoring.report.markup import Html, element, join
from t2t.monitoring.report.record import RunRecord, TaskResult

LONGEST, SHORTEST = 600, 150  # characters shown of a text, by how many there are
ALL = 200_000  # characters of all texts together, so that the page stays under a megabyte
BLANK = re.compile(r"\[([^\[\]]*)\]")


def samples(runs: Sequence[RunRecord]) -> list[tuple[str, Html]]:
    """Returns (task, its examples): input, target, and the newest prediction of every run."""
    names = dict.fromkeys(task.name for run in runs for task in run.tasks if task.lines)
    texts = sum(3 * len(task.lines) for run in runs for task in run.tasks)
    longest = max(SHORTEST, min(LONGEST, ALL // max(texts, 1)))
    return [(name, join(*_examples(runs, name, longest))) for name in names]


def _examples(runs: Sequence[RunRecord], name: str, longest: int) -> Iterator[Html]:
    own = [{_key(line): line for line in _lines(run, name)} for run in runs]
    for key in dict.fromkeys(key for lines in own for key in lines):
        line = next(lines[key] for lines in own if key in lines)
        parts = _part("input", _shown(line.get("input"), longest))
        parts += _part("target", _shown(line.get("target"), longest))
        for run, lines in zip(runs, own, strict=True):
            if key in lines:
                label = run.name if len(runs) > 1 else "prediction"
                parts += _part(label, _prediction(lines[key], longest), _verdict(lines[key]))
        yield element("dl", parts, class_="sample")


def _lines(run: RunRecord, name: str) -> tuple[dict[str, Any], ...]:
    task = next((task for task in run.tasks if task.name == name), TaskResult(name, ()))
    return task.lines


def _key(line: dict[str, Any]) -> str:
    """What is the same of one example in every run."""
    return str((line.get("index"), line.get("id"), line.get("input")))


def _part(label: str, text: Html, badge: Html | str = "") -> list[Html]:
    return [element("dt", label, badge), element("dd", text, dir="auto")]


def _shown(value: Any, longest: int) -> Html:
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if not text:
        return element("em", "(empty)")
    return join(text[:longest], "…" if len(text) > longest else "")


def _verdict(line: dict[str, Any]) -> Html | str:
    """Right, wrong or invalid, where the answer is one of several choices."""
    if line.get("value") is None:
        return element("span", "invalid", class_="badge bad") if line.get("classes") else ""
    if not line.get("classes") or line.get("truth") is None:
        return ""
    truth = line["truth"] if isinstance(line["truth"], list) else [line["truth"]]
    right = line["value"] in truth
    return element(
        "span", "right" if right else "wrong", class_=f"badge {'good' if right else 'bad'}"
    )


def _prediction(line: dict[str, Any], longest: int) -> Html:
    """The prediction; words that the target has not at that place are marked."""
    found, target = line.get("prediction"), line.get("target")
    if not (isinstance(found, str) and isinstance(target, str) and found and target):
        return _shown(found, longest)
    words, wanted = (re.findall(r"\s+|\S+", text[:longest]) for text in (found, target))
    blocks = difflib.SequenceMatcher(None, wanted, words, autojunk=False).get_matching_blocks()
    parts: list[Html | str] = []
    place = 0
    for block in blocks:
        other = "".join(words[place : block.b])
        parts.append(element("mark", other) if other.strip() else other)
        parts.append("".join(words[block.b : block.b + block.size]))
        place = block.b + block.size
    return join(*parts, "…" if len(found) > longest else "")


def closing(lines: Sequence[str]) -> Html:
    """Returns what training said of the finished model; blanks that were filled are marked."""
    shown = []
    for line in lines:
        label, _, text = line.strip().partition(": ")
        if label not in ("model", "truth"):
            shown.append(element("p", line))
            continue
        pieces = BLANK.split(text)  # every second stood in brackets
        marked = [element("mark", p) if i % 2 else p for i, p in enumerate(pieces)]
        shown.append(element("p", element("b", label), element("span", marked), class_="blank"))
    return join(*shown)
