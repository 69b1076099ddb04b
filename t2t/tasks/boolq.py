"""BoolQ from its own release (Clark et al. 2019): questions as people typed them, yes or no.

The text is that of SuperGLUE's BoolQ, which is the same data under SuperGLUE's splits.
"""

from t2t.tasks.labels import labelled, read_label
from t2t.tasks.published_files import jsonl, renamed
from t2t.tasks.task import Layout, Source, Task
from t2t.tasks.winograd import BOOLEANS

_RELEASE = Layout(
    (("train", ("boolq/train.jsonl",)), ("validation", ("boolq/dev.jsonl",))),
    renamed(jsonl, {"question": "question", "passage": "passage", "label": "answer"}),
)
_ALL_SPLITS = Layout(
    (("validation", ("superglue_BoolQ.val.jsonl",)), ("all", ("boolq_all_splits.jsonl",))), jsonl
)

TASKS: tuple[Task, ...] = (
    Task(
        name="boolq",
        suite="BoolQ",
        source=Source("bool_q", layouts=(_RELEASE, _ALL_SPLITS)),
        splits=("train", "validation", "all"),
        examples=labelled("boolq", BOOLEANS, ("passage", "question")),
        read=read_label,
        metrics=("accuracy",),
        targets_length=62,
    ),
)
