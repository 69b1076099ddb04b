"""ERNIE 2.0's tasks for whole batches, one an example: up to three segments behind one [CLS].

    knowledge, capital, relation   [CLS] text [SEP]
    reordering                     [CLS] segment [SEP] ... (one to three, in any of their orders)
    distance                       [CLS] segment [SEP] segment [SEP]
    discourse                      [CLS] sentence [SEP] sentence without its marker [SEP]

A batch has what MaskedLM's has (its predictions are of knowledge alone), `encoder` also `types` (the
segment's number) and `tasks` [B, L]; `token_labels` {targets, weights} [B, L] of each token task by
name, and `sentence_labels` {places, targets, weights} [B, P] of each other one, at its [CLS].
"""

import itertools

import numpy as np

from t2t.data.order import below
from t2t.data.span_marks import CAPITAL, ID_BITS
from t2t.data.vocabulary import BEGINS_WORD, SPECIAL
from t2t.errors import UserError
from t2t.objectives import masked_lm
from t2t.objectives.discourse import Marked, two_sentences
from t2t.objectives.ernie_config import ALL_TASKS, TASKS, ErnieTasks
from t2t.objectives.framing import added
from t2t.objectives.row_layout import RowLayout
from t2t.objectives.segment_rows import lay_segments
from t2t.objectives.sentence_pairs import cut, sentence_begins

# Columns of the model's heads: two a token task, all orders of one to three segments, three distances;
# behind them those of the tasks that a run may lack.
TOKEN_TASKS = {"capital": (0, 2), "relation": (2, 4)}
SENTENCE_TASKS = {"reordering": (0, 9), "distance": (9, 12)}
ORDERS = [order for k in (1, 2, 3) for order in itertools.permutations(range(k))]
_ADDED = added(3)  # at most
_HEAD_DRAWS = 8  # the task, how many segments, their order, two cuts, the distance; two to spare


def sentence_tasks(cfg: ErnieTasks) -> dict[str, tuple[int, int]]:
    """Returns {task: its columns [first, last)} of the classifier of examples."""
    columns, end = dict(SENTENCE_TASKS), 12
    for task, classes in (
        ("discourse", cfg.markers * cfg.takes_markers),
        ("relevance", cfg.relevance),
    ):
        if classes:
            columns[task] = end, end + len(classes)
            end += len(classes)
    return columns


def raw_length(cfg: ErnieTasks) -> int:
    """Raw tokens of a row, of which a task of fewer segments does not use all the room."""
    return cfg.length - _ADDED


def lengths_for(cfg: ErnieTasks, raw: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (tokens with the special ones, most predictions) of examples of `raw`; 0 for 0."""
    raw = np.asarray(raw, np.int64)
    most = masked_lm.lengths_for(cfg.masking(), raw)[1]
    return (raw + _ADDED) * (raw > 0), most


def lengths(cfg: ErnieTasks) -> tuple[int, int]:
    """Returns (tokens, predictions) of a row."""
    return cfg.length, int(lengths_for(cfg, raw_length(cfg))[1])


def always_full(cfg: ErnieTasks) -> bool:
    """Never: most tasks have fewer special tokens than there is room for."""
    return False


def check_vocabulary(cfg: ErnieTasks, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has [MASK], [CLS] and [SEP]."""
    masked_lm.check_vocabulary(cfg.masking(), vocabulary, where)


def check_model(cfg: ErnieTasks, arch) -> None:
    """Raises UserError unless the architecture has the heads and tables of the tasks."""
    columns = sentence_tasks(cfg)
    kinds = 1 + max(map(ALL_TASKS.index, columns))
    for key, least in (("token_types", 3), ("task_types", kinds)):
        if getattr(arch, key) < least:
            raise UserError(
                f"config.model.{key}: {getattr(arch, key)}, and ErnieTasks needs {least}"
            )
    classes = max(end for _, end in columns.values())
    for key, exactly in (("token_classes", 4), ("pair_classes", classes)):
        if getattr(arch, key) != exactly:
            raise UserError(
                f"config.model.{key}: {getattr(arch, key)}, and ErnieTasks' are {exactly}"
            )


def more_shapes(cfg: ErnieTasks, rows: int, shapes: dict) -> dict:
    """Returns {name: (shape, dtype)} of what a batch has beside what all have."""
    ints, floats = ((rows, cfg.length), np.int32), ((rows, cfg.length), np.float32)
    predictions = {name: shapes[name] for name in ("targets", "weights")}
    predictions |= {"places": shapes["targets"]}
    return {
        "encoder": {name: ints for name in ("tokens", "types", "tasks", "segments", "positions")},
        "places": shapes["targets"],
        "token_labels": {task: {"targets": ints, "weights": floats} for task in TOKEN_TASKS},
        "sentence_labels": {task: dict(predictions) for task in sentence_tasks(cfg)},
    }


def tasks_of(cfg: ErnieTasks, samples: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Returns the task of each example, its number in `TASKS`: int64 [E]; bits uint32 [E]."""
    ends = np.cumsum([stage.samples for stage in cfg.stages[:-1]])
    stage = np.searchsorted(ends, samples, side="right")
    upper = np.cumsum([one.shares() for one in cfg.stages], axis=1)[:, :-1]
    return (bits[:, None] / 2.0**32 >= upper[stage]).sum(axis=1)


def asks_marker(cfg: ErnieTasks, samples: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Which examples are of the discourse task, bool [E]; bits uint32 [E]: the first of their draws."""
    return tasks_of(cfg, samples, bits) == TASKS.index("discourse")


def make_packed_batch(
    cfg: ErnieTasks,
    vocabulary,
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    draw,
    full: bool = False,
    *,
    other: tuple[np.ndarray, np.ndarray],
    behind: tuple[np.ndarray, np.ndarray, np.ndarray],
    sample: np.ndarray,
    marked: Marked | None = None,
) -> dict:
    """Makes examples e of tokens[starts[e] : starts[e] + sizes[e]], marks beside the ids.

    Row r [B] takes the next `examples_in_row[r]` of them. other: (starts, sizes) of another document's
    text; behind: of what follows in the same document, and where in the example that begins. sample
    [E]: tells the stage. marked: the markers of those of the discourse task; where there is none the
    example is of knowledge masking.
    """
    width = cfg.length
    bits = draw(_HEAD_DRAWS + 4 * width + 1)
    head, bits = bits[:, :_HEAD_DRAWS], bits[:, _HEAD_DRAWS:]
    task = tasks_of(cfg, sample, head[:, 0])
    if marked is not None:
        task = np.where((task == TASKS.index("discourse")) & (marked.number < 0), 0, task)
    is_task = {name: task == i for i, name in enumerate(ALL_TASKS)}
    marks = np.frombuffer(vocabulary.marks, np.uint8)
    column = np.arange(int(sizes.max(initial=1)))
    text, follows, foreign = (
        tokens.take(at[:, None] + column, mode="clip") for at in (starts, behind[0], other[0])
    )
    begins = sentence_begins(text & ID_BITS, sizes, marks, vocabulary.eos_id)
    first, size, label = _segments(is_task, begins, sizes, head, len(column), behind[1], other[1])
    if marked is not None:
        which = np.flatnonzero(is_task["discourse"])
        one = Marked(*(part[which] for part in marked))
        there, size[which, :2] = two_sentences(one, tokens, marks, vocabulary.eos_id, sizes[which])
        for k, block in enumerate((text, follows)):
            block[which] = tokens.take(there[:, k, None] + column, mode="clip")
            first[which, k] = k * len(column)
        size[which, 2], label[which] = 0, one.number
    rows, lengths_, segment, source = lay_segments(
        np.concatenate([text, follows, foreign], axis=1), first, size, vocabulary
    )
    said, rows = rows, rows & ID_BITS
    inside = np.arange(rows.shape[1]) < lengths_[:, None]
    ordinary = inside & (marks[rows] & SPECIAL == 0)
    begins_word = ordinary & (marks[rows] & BEGINS_WORD > 0)
    known = _keys(text & ID_BITS, vocabulary.size)
    there = _keys(follows & ID_BITS, vocabulary.size)[column < behind[1][:, None]]
    met = np.take_along_axis(
        np.isin(known, there), np.clip(source, 0, max(len(column) - 1, 0)), axis=1
    )
    asked = ordinary & (source >= behind[2][:, None]) & (behind[1] > 0)[:, None]
    of_tokens = {
        "capital": (said & CAPITAL > 0, begins_word & is_task["capital"][:, None]),
        "relation": (met, asked & is_task["relation"][:, None]),
    }
    predictable = ordinary & is_task["knowledge"][:, None]
    chosen, shown, originals = masked_lm.masked(
        cfg.masking(), vocabulary, said, predictable, lengths_, bits
    )

    side = RowLayout(examples_in_row, lengths_, width)
    most = lengths(cfg)[1]
    predictions = RowLayout(examples_in_row, chosen.sum(axis=1), most)
    at = np.nonzero(chosen)
    firsts = RowLayout(examples_in_row, np.ones(len(sizes), np.int64), most)
    lay = lambda each: side.lay(each[inside], 0)
    whole = lambda one: np.broadcast_to(one[:, None], rows.shape)
    return {
        "encoder": {
            "tokens": side.lay(shown[inside], int(vocabulary.pad_id)),
            "types": lay(segment),
            "tasks": lay(whole(task)),
            **side.segments_and_positions(),
        },
        "places": predictions.lay(side.offsets[at[0]] + at[1], 0),
        "targets": predictions.lay(originals, int(vocabulary.pad_id)),
        "weights": predictions.filled.astype(np.float32),
        "token_labels": {
            name: {"targets": lay(labels), "weights": lay(weights).astype(np.float32)}
            for name, (labels, weights) in of_tokens.items()
        },
        "sentence_labels": {
            name: {
                "places": firsts.lay(side.offsets, 0),
                "targets": firsts.lay(np.where(is_task[name], label, 0), 0),
                "weights": firsts.lay(is_task[name], 0).astype(np.float32),
            }
            for name in sentence_tasks(cfg)
        },
    }


def _segments(is_task, begins, sizes, head, width, behind, other):
    """Returns where each example's segments stand in [text | behind | other], their sizes, [E, 3] each,
    and the label [E] of its sentence task; a segment that is not there has size 0."""
    first, size = np.zeros((2, len(sizes), 3), np.int64)
    size[:, 0], label = sizes, np.zeros(len(sizes), np.int64)
    # Distance: neighbours; what stands behind the text that is left out; another document.
    one = is_task["distance"]
    at, kind = cut(begins, sizes, head[:, 3]), below(head[:, 5], 3)
    rest = sizes - at
    reach = np.where(kind == 1, behind, np.where(kind == 2, other, rest))
    kind = np.where(reach > 0, kind, 0)
    label = np.where(one, kind, label)
    first[one, 1] = np.where(kind == 0, at, kind * width)[one]
    size[one, 0], size[one, 1] = at[one], np.where(kind == 0, rest, np.minimum(reach, rest))[one]
    # Reordering: cut at sentences, where two cuts fall on different ones.
    two = np.sort(np.stack([at, cut(begins, sizes, head[:, 4])], axis=1), axis=1)
    same = two[:, 0] == two[:, 1]
    two[same] = np.stack([sizes // 3, sizes * 2 // 3], axis=1)[same]
    count = 1 + below(head[:, 1], 3)
    for k in (1, 2, 3):
        of = np.flatnonzero(is_task["reordering"] & (count == k))
        cuts = {1: two[of, :0], 2: at[of, None], 3: two[of]}[k]
        edges = np.concatenate([np.zeros((len(of), 1), np.int64), cuts, sizes[of, None]], axis=1)
        orders = [order for order in ORDERS if len(order) == k]
        which = below(head[of, 2], len(orders))
        order = np.array(orders)[which].reshape(-1, k)
        first[of, :k] = np.take_along_axis(edges[:, :-1], order, axis=1)
        size[of, :k] = np.take_along_axis(np.diff(edges, axis=1), order, axis=1)
        label[of] = ORDERS.index(orders[0]) + which
    return first, size, label


def _keys(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """Tokens [E, W] as numbers that differ between examples."""
    return tokens + np.arange(len(tokens))[:, None] * vocabulary
