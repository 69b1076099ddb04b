"""The exact batch of a step, as lines of text: what a model will be shown, and where it is from."""

import numpy as np

from t2t.data.batches import CORPUS_BIT, Samples

_IDS = 24


def inspect_lines(samples: Samples, tokenizer, step: int, rows: int = 4) -> list[str]:
    """Renders the batch of `step`: its figures, its corpora, and its first `rows` rows."""
    numbers = samples.sample_numbers(step)
    batch, examples = samples.rows(numbers), samples.examples(numbers)
    lines = _figures(samples, step, numbers, batch, examples)
    lines += _corpora(samples, examples)
    first = np.cumsum(examples.in_row) - examples.in_row
    for row in range(min(rows, len(numbers))):
        corpus = samples.names[examples.corpus[row]]
        lines.append(
            f"row {row}: sample {numbers[row]}, corpus {corpus}, epoch {examples.epoch[row]}, "
            f"{_count(examples.in_row[row], 'example')}"
        )
        for segment in range(int(examples.in_row[row])):
            example = int(first[row]) + segment
            lines.append(f"  example {segment + 1}: {_place(samples, examples, row, example)}")
            lines += _example(samples, tokenizer, batch, row, segment + 1)
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _figures(samples, step, numbers, batch, examples) -> list[str]:
    name = "encoder" if "encoder" in batch else "decoder"
    side, targets = batch[name], batch["targets"].shape[1]
    real = examples.in_row > 0
    segments = side.get("segments")
    full = float(real.mean()) if segments is None else float((segments > 0).mean())
    raw = int(examples.lengths.sum() + np.maximum(examples.second_lengths, 0).sum())
    return [
        f"step {step}: samples {numbers[0]}..{numbers[-1]}, {_count(len(numbers), 'row')}, "
        f"order {samples.order}, seed {samples.seed}",
        f"{name} {side['tokens'].shape[1]} tokens, {full:.2%} filled; targets {targets} tokens, "
        f"{float((batch['weights'] > 0).mean()):.2%} filled; "
        f"{raw} raw tokens in {_count(len(examples.lengths), 'example')}",
    ]


def _corpora(samples, examples) -> list[str]:
    lines = []
    share = np.bincount(examples.corpus, minlength=len(samples.names)) / len(examples.corpus)
    for i, (name, store, rows) in enumerate(
        zip(samples.names, samples.stores, samples.corpora, strict=True)
    ):
        lines.append(
            f"corpus {name}: {share[i]:.1%} of the rows here; {store.describe()} in its store; "
            f"{rows.describe()}"
        )
    return lines


def _place(samples, examples, row: int, example: int) -> str:
    """Says where an example stands in its store, and what of a pair was cut."""
    size, target_size = int(examples.lengths[example]), int(examples.target_lengths[example])
    second = int(examples.second_lengths[example])
    rows = samples.corpora[examples.corpus[row]]
    number = examples.number[example] % (1 << CORPUS_BIT)
    if not rows.paired:
        begin = int(examples.starts[example])
        way = ", from its end" if rows.backward(number).item() else ""
        return f"tokens {begin}..{begin + size} of the store{way}"
    pair = rows.number_of(int(number))
    store = rows.pairs.store
    whole = np.diff(store.offsets[store.unit * pair :][: store.unit + 1]).tolist()
    shown = {"input": size, "target": target_size}
    if second >= 0:
        shown = {"first text": size, "second text": second, "target": target_size}
    cut = [
        f"; the {side} is cut from {long} tokens to {short}"
        for (side, short), long in zip(shown.items(), whole, strict=True)
        if short < long
    ]
    return f"pair {pair} of the store{''.join(cut)}"


def _example(samples, tokenizer, batch, row: int, segment: int) -> list[str]:
    shown = {}
    if "encoder" in batch:
        shown["inputs"] = _segment(batch["encoder"], batch["encoder"]["tokens"], row, segment)
    if "decoder" in batch:
        shown["decoder"] = _segment(batch["decoder"], batch["decoder"]["tokens"], row, segment)
        targets = _segment(batch["decoder"], batch["targets"], row, segment)
        targets = targets[_segment(batch["decoder"], batch["weights"], row, segment) > 0]
    else:
        targets = _predictions(samples.vocabulary, batch, row, segment)
    shown["targets"] = targets
    lines = []
    for name in ("inputs", "targets"):
        if name in shown:
            text = tokenizer.decode(shown[name], stop_at_eos=False)
            lines.append(f"    {name} ({len(shown[name])}): {text}")
    if "pairs" in batch:
        label = int(batch["pairs"]["targets"][row, segment - 1])
        lines.append(f"    pair: {label} ({'changed' if label else 'as in the text'})")
    for name, ids in shown.items():
        listed = " ".join(map(str, ids[:_IDS].tolist())) + (" ..." if len(ids) > _IDS else "")
        lines.append(f"    {name} ids: {listed}")
    pieces = " ".join(tokenizer.pieces(targets))
    lines.append(f"    targets pieces: {pieces}")
    return lines


def _predictions(vocabulary, batch: dict, row: int, segment: int) -> np.ndarray:
    """What is predicted of an example whose predictions stand at places of the encoder's row."""
    if "summaries" in batch:
        return np.array(vocabulary.labels[batch["targets"][row, segment - 1]], np.int32)
    if "places" not in batch:  # the span of a context; [CLS] where the window does not hold it
        first, last = batch["targets"][row]
        return batch["encoder"]["tokens"][row][first : last + 1]
    mine = batch["weights"][row] > 0
    segments = batch["encoder"].get("segments")
    if segments is not None:
        mine &= segments[row][batch["places"][row]] == segment
    return batch["targets"][row][mine]


def _segment(side: dict, tokens: np.ndarray, row: int, segment: int) -> np.ndarray:
    segments = side.get("segments")
    return tokens[row] if segments is None else tokens[row][segments[row] == segment]
