"""Tasks and their examples as lines of text, for `t2t tasks`."""

from collections.abc import Iterable, Iterator

from t2t.tasks.task import Example, Task

HEADER = ("task", "suite", "splits", "lengths", "decoding", "models", "metrics", "sources")


_MODELS = {
    "chosen": "any; an encoder alone finds the likeliest of the choices at masks behind the input",
    "extractive": "any; an encoder alone points at the answer in the context (ExtractiveSpans)",
    "": "those with a decoder: the answers are free text, which an encoder alone cannot write",
}


def listing(tasks: Iterable[Task]) -> list[str]:
    """A line a task: name, suite, splits, lengths, decoding, models, metrics, sources."""
    rows = [HEADER, *(_row(task) for task in tasks)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER) - 1)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]


def _for_encoders(task: Task) -> str:
    """How an encoder alone answers: a key of _MODELS."""
    return "chosen" if task.labels else "extractive" if task.extractive else ""


def _row(task: Task) -> tuple[str, ...]:
    files = [names[0] for layout in task.source.layouts for _, names in layout.files]
    sources = [f"TFDS {task.source.tfds}"] if task.source.tfds else []
    sources += [f"files such as {files[0]}"] if files else []
    return (
        task.name,
        task.suite,
        ",".join(task.splits),
        f"{task.inputs_length}/{task.targets_length}",
        _decoding(task),
        "all" if _for_encoders(task) else "decoders",
        ",".join(task.metrics),
        "; ".join(sources),
    )


def _decoding(task: Task) -> str:
    beams = task.decoding.beams
    return "greedy" if beams == 1 else f"{beams} beams, alpha {task.decoding.alpha:g}"


def described(task: Task) -> list[str]:
    """A task in full: what `listing` says, and every layout of files that is read."""
    lines = [
        f"{task.name} ({task.suite})",
        f"splits: {', '.join(task.splits)}; judged: {task.judged}",
        f"lengths: {task.inputs_length} tokens in, {task.targets_length} out",
        f"decoding: {_decoding(task)}",
        f"models: {_MODELS[_for_encoders(task)]}",
        f"metrics: {', '.join(task.metrics)}",
    ]
    if task.source.tfds:
        lines.append(f"source: TFDS {task.source.tfds}, prepared")
    for layout in task.source.layouts:
        made = "; ".join(f"{split} = {' + '.join(names)}" for split, names in layout.files)
        lines.append(f"source: {made}")
    return lines


def example_lines(examples: Iterable[Example]) -> Iterator[str]:
    """Examples, an empty line before each, texts as Python writes them so that every space shows."""
    for number, example in enumerate(examples):
        yield ""
        yield f"example {number}, id {'/'.join(map(str, example.id))}"
        yield f"  input:  {example.input!r}"
        if example.texts:
            yield f"  texts:  {' | '.join(map(repr, example.texts))}"
        yield f"  target: {example.target!r}"
        if example.truth != example.target:
            yield f"  truth:  {example.truth!r}"
        if example.choices:
            yield f"  choices: {', '.join(example.choices)}"
