"""The parameters that a run begins with when they are not drawn at random.

A variant of `Initial` is a branch of each function here.
"""

from collections.abc import Callable

from t2t.data import tokenizers
from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.opening import open_published
from t2t.interop.published import Published, parameters
from t2t.objectives.config import Classes, ExtractiveSpans
from t2t.objectives.implementations import Headed
from t2t.tasks.class_answers import named_alike
from t2t.training.initial_config import FromHuggingFace, FromRun, FromT5X, FromTeacher, Initial
from t2t.training.run_parameters import manifest_of, read_parameters


def initial_parameters(
    initial: FromRun | FromHuggingFace | FromT5X,
    wanted: dict,
    say: Callable[[str], None],
    head: Headed | None = None,
) -> tuple[dict, dict]:
    """Returns (parameters, what every checkpoint of the run records of where they came from).

    wanted: the model's parameters as ShapeDtypeStructs with shardings. Arrays are read straight
    onto the mesh and cast leaf by leaf. A head of tokens (token_head) that is not there yet, and the
    head that answers (`head`) where it is of another objective there, are left out: whoever begins a
    run draws what is not given.
    Raises: UserError naming every leaf that is missing there, of another shape, or not wanted;
    Failure where no checkpoint is sound.
    """
    match initial:
        case FromRun(path, step):
            theirs = manifest_of(path, step)["record"]["config"]
            heads = {n: theirs["model"].get(f"{n}_classes", 0) for n in ("token", "pair")}
            same = head is not None and _is_of(theirs["objective"], head)
            wanted = _without_new(wanted, head, same, **heads, say=say)
            # A head of another objective stays there unread.
            found, params = read_parameters(path, step, wanted, say, whole=head is None or same)
            say(f"begins with the parameters of {path}, step {found}")
            return params, {"path": path, "step": found}
        case FromHuggingFace() | FromT5X():
            published = open_initial(initial)
            arch = published.arch
            same = isinstance(head, ExtractiveSpans) and arch.token_classes == 2
            same |= isinstance(head, Classes) and named_alike(published.labels, head.labels)
            pair = arch.pair_classes or len(published.pooler)
            wanted = _without_new(wanted, head, same, arch.token_classes, pair, say)
            if published.headless and head is None:
                say("no head is there: words are told by the table of embeddings, untrained")
            say(f"begins with the parameters of {published.where}")
            leaves = {**published.leaves, **published.pooler}
            return parameters(leaves, wanted), {"path": published.where}


def _is_of(objective: dict, head: Headed) -> bool:
    """Whether a run's objective, as its configuration has it, is answered by the same head."""
    labels = list(getattr(head, "labels", ()))
    return objective["class"] == type(head).__name__ and objective.get("labels", []) == labels


def _without_new(
    wanted: dict, head: Headed | None, same: bool, token: int, pair: int, say: Callable[[str], None]
) -> dict:
    """Returns what is wanted of a model. same: whether its head answers what `head` does; token, pair:
    how many classes of tokens and of pairs it has (pair: not 0 where it has a pooler alone)."""
    kept = dict(wanted)
    if "token_head" in wanted and (not token or (isinstance(head, ExtractiveSpans) and not same)):
        say("the head that points at answers is new: drawn at random")
        del kept["token_head"]
    if isinstance(head, Classes) and not same:
        what = "classifier is" if pair else "classifier and what it pools by are"
        say(f"the {what} new: drawn at random")
        pooler = {"pooler": wanted["pair_head"]["pooler"]}
        kept = {**kept, "pair_head": pooler} if pair else kept
        if not pair:
            del kept["pair_head"]
    return kept


def open_initial(initial: FromHuggingFace | FromT5X, key: str = "config.initial") -> Published:
    """Opens another system's checkpoint; nothing is read but headers.

    Raises: UserError naming `path` of the config's `key`.
    """
    try:
        if isinstance(initial, FromHuggingFace):
            return huggingface.open_directory(initial.path)
        return open_published(initial.path, step=initial.step)
    except UserError as error:
        raise UserError(f"{key}.path: {error}") from None


def check_vocabulary(initial: Initial, vocabulary: Vocabulary) -> None:
    """Checks that a vocabulary is the one that the initial parameters were trained with.

    Raises: UserError that says how to take that one.
    """
    match initial:
        case FromRun(path, step):
            try:
                theirs = manifest_of(path, step)["record"]["tokenizer"]
            except UserError as error:
                raise UserError(f"config.initial: {error}") from None
            if theirs != vocabulary.fingerprint:
                raise UserError(
                    f"config.tokenizer: its vocabulary (fingerprint {vocabulary.fingerprint}) is "
                    f"not the one that {path} was trained with ({theirs}); "
                    "--config.tokenizer=RunTokenizer takes that one"
                )
        case FromHuggingFace(path):
            config = huggingface.tokenizer_of(path)
            if config is None:
                return
            theirs = tokenizers.load(config).vocabulary
            if theirs.fingerprint != vocabulary.fingerprint:
                raise UserError(
                    f"config.tokenizer: its vocabulary (fingerprint {vocabulary.fingerprint}) is "
                    f"not the one in {path} ({theirs.fingerprint}); "
                    "--config.tokenizer=RunTokenizer takes that one"
                )
        case FromT5X() | FromTeacher():  # holds none; the teacher's own is checked beside this
            return
