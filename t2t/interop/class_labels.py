"""The labels of a ...ForSequenceClassification in config.json (`id2label`), in and out."""

from t2t.errors import UserError
from t2t.models.architecture import Architecture
from t2t.models.families.bert import classifies

# Classes of theirs whose head has a classifier's names, and computes something else.
_OTHERS = ("ForTokenClassification", "ForMultipleChoice")


def check_class(config: dict, where: str) -> None:
    """Raises UserError for a class of theirs whose head t2t has not, but tensors do not tell."""
    for name in config.get("architectures") or ():
        if str(name).endswith(_OTHERS):
            raise UserError(
                f"{where}: is a {name}, whose head t2t does not have; of fine-tuned encoders it reads "
                "...ForSequenceClassification and ...ForQuestionAnswering"
            )


def labels_of(config: dict, arch: Architecture, where: str) -> tuple[str, ...]:
    """Returns the names of a classifier's outputs in order; () where the model is none.

    Without names they are theirs: LABEL_0, LABEL_1. Raises: UserError, one line, for a head that tells
    numbers or several labels at once, and for names that are not those of its outputs.
    """
    if not classifies(arch):
        return ()
    count, kind = arch.pair_classes, config.get("problem_type")
    if count == 1 or kind not in (None, "single_label_classification"):
        what = (
            f"problem_type is {kind!r}" if kind else "its classifier has one output, a regression"
        )
        raise UserError(f"{where}: {what}; t2t tells one of two or more labels (Classes)")
    names = config.get("id2label")
    if names is None:
        return tuple(f"LABEL_{number}" for number in range(count))
    try:
        known = {int(number): str(name) for number, name in names.items()}
    except (AttributeError, ValueError):
        raise UserError(f"{where}: id2label is {names!r}, not numbers with their names") from None
    if sorted(known) != list(range(count)):
        raise UserError(
            f"{where}: id2label names {len(known)} labels, and the classifier has {count} outputs"
        )
    labels = tuple(known[number] for number in range(count))
    if len(set(labels)) < count:
        raise UserError(f"{where}: id2label gives two labels one name: {', '.join(labels)}")
    return labels


def label_keys(arch: Architecture, labels: tuple[str, ...]) -> dict:
    """Returns what config.json says of a classifier's labels; nothing of a model that is none."""
    if not classifies(arch):
        return {}
    labels = labels or tuple(f"LABEL_{number}" for number in range(arch.pair_classes))
    return {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
        "problem_type": "single_label_classification",
    }
