"""Classification as text: the label's name is the target, anything else is no answer."""

from collections.abc import Callable, Iterable, Sequence

from t2t.errors import nearest
from t2t.tasks.fields import filled, text
from t2t.tasks.task import Example, Record

BOOLEANS = ("False", "True")
UNLABELLED = "<unk>"  # T5's target where the split has no labels


def label_number(value, labels: Sequence[str]) -> int | None:
    """A published label (a name, a number, true or false, -1 or nothing where hidden) as a number.

    Raises ValueError naming the field and what it may hold.
    """
    if value is None or value == "" or value in (-1, "-1"):
        return None
    if isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        value = value.capitalize()
    if value in labels:
        return labels.index(value)
    number = int(value) if isinstance(value, int) or str(value).isdecimal() else -1
    if not 0 <= number < len(labels):
        raise ValueError(
            f"field 'label' is {value!r}{nearest(str(value), labels)}; it may be "
            f"{', '.join(labels)} or their numbers from 0"
        )
    return number


def labelled(
    benchmark: str,
    labels: tuple[str, ...],
    keys: tuple[str, ...],
    texts: tuple[str, ...] | None = None,
) -> Callable[[Record, str], Iterable[Example]]:
    """T5's text of a GLUE-like example: `benchmark key1: value1 key2: value2`, keys in this order.

    texts: templates of its plain texts (see `Example`); None: each key's value is one, in this order.
    """
    plain = tuple(f"{{{key}}}" for key in keys) if texts is None else texts

    def examples(record: Record, split: str) -> Iterable[Example]:
        shown = " ".join([benchmark, *(f"{key}: {text(record, key)}" for key in keys)])
        number = label_number(record.get("label"), labels)
        target = UNLABELLED if number is None else labels[number]
        yield Example(
            shown,
            target,
            number,
            id=own_number(record),
            choices=labels,
            texts=tuple(filled(template, record) for template in plain),
        )

    return examples


def own_number(record: Record) -> tuple:
    """The number that a benchmark gives the example, () where it gives none."""
    return (record["idx"],) if "idx" in record else ()


def read_label(prediction: str, example: Example) -> int | None:
    """Reads a label's number; None for a text that is no label (T5: an exact match is needed)."""
    return example.choices.index(prediction) if prediction in example.choices else None
