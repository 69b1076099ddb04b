"""A Run: the typed configuration of everything, loaded, overridden, cross-checked and saved.

This is the only module that sees every room's configuration; each room checks its own part, and
what holds between rooms is checked here, before any device is touched.
"""

import dataclasses
import errno
import json
import math
import os
import re

import fsspec

from t2t import overrides as command_line
from t2t import recipes, schema
from t2t.data.config import Data
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import (
    RunTokenizer,
    SentencePiece,
    Subwords,
    Tokenizer,
)
from t2t.errors import Failure, UserError
from t2t.models.architecture import Architecture
from t2t.monitoring.hardware import hardware
from t2t.objective_checks import all_corpora, check_objective, check_vocabulary, known_vocabulary
from t2t.objectives.config import ENCODER, Classes, ExtractiveSpans, Objective
from t2t.objectives.implementations import Headed, Posed, headed, implementation, posed
from t2t.parallel.mesh_config import AXES, ROWS, Mesh
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Monitoring, Training
from t2t.training.initial_config import FromRun, FromT5X, FromTeacher, Initial
from t2t.training.optimizer_config import Optimizer
from t2t.training.schedule_config import Cosine, Linear, Schedule
from t2t.training.scores import check_metrics
from t2t.training.teacher_config import Teacher
from t2t.versions import versions

CONFIG = "config.json"
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
# What may differ between a run and its resumption. Nothing here changes what a parameter means or
# which sample has which number.
RESUMABLE = (
    r"training\.(steps|bad_steps|watchdog_seconds|accumulation|deterministic|loss_tokens|device_flags)",
    r"training\.compiler_flags(\[.*)?",
    r"training\.early_stopping(\..*)?",
    r"evaluation\..*",
    r"monitoring\..*",
    r"checkpoints\..*",
    r"mesh\..*",
    r"model\.(layers|remat)",
    r"data\.evaluation(\[.*)?",
    r"data\.(batch_size|batch_ramp|evaluation_batch_size|read_ahead|workers|cache_dir)(\[.*)?",
)
_IN_A_FILE = (SentencePiece, Subwords, RunTokenizer)
# What may differ between a model and the one whose parameters it begins with.
_NOT_OF_PARAMETERS = ("dropout", "layer_dropout", "expert_dropout", "router_jitter", "dtype")
_NOT_OF_PARAMETERS += ("layers", "remat")
_NOT_IN_T5X = ("activation", "relative_max_distance", "norm_epsilon")


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that defines a training run."""

    model: Architecture
    tokenizer: Tokenizer
    data: Data
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    mesh: Mesh = Mesh()
    monitoring: Monitoring = Monitoring()
    initial: Initial | None = None
    # Of a model that tells replaced tokens: the one that writes them (ELECTRA).
    generator: Architecture | None = None
    # A trained model that this one learns to predict like (DistilBERT).
    teacher: Teacher | None = None

    @property
    def posed(self) -> Objective | Posed:
        """The objective, as a model of these stacks is given it."""
        model = self.model
        return posed(self.objective, model.stacks, model.summary_last, model.token_types > 1)


def check(run: Run, trains: bool = True) -> None:
    """Checks types, each room's ranges, and what must hold between rooms.

    trains: whether it is to be trained, not read only. Raises: UserError, one line, naming the key.
    """
    schema.check_types(run, Run, "config")
    for field in dataclasses.fields(run):
        if getattr(run, field.name) is not None:
            getattr(run, field.name).check(f"config.{field.name}")
    _check_steps(run)
    _check_dropout(run)
    check_objective(run, trains)
    check_metrics(run)
    _check_mesh(run, {axis: max(getattr(run.mesh, axis), 1) for axis in AXES})
    if isinstance(run.tokenizer, RunTokenizer) and not (
        run.tokenizer.path or run.teacher or getattr(run.initial, "path", "")
    ):
        raise UserError("config.tokenizer.path: names no run, and config.initial is none")
    if not isinstance(run.tokenizer, _IN_A_FILE):  # those: check_inputs
        check_vocabulary(run, known_vocabulary(run.tokenizer))


def _check_dropout(run: Run) -> None:
    """Checks that what compares dropouts has any, and a wiring that does."""
    lora = run.training.lora
    if run.training.r_drop and (run.generator is not None or run.model.stacks == ENCODER):
        raise UserError(
            f"config.training.r_drop: {run.training.r_drop} is for objectives whose targets are a "
            f"text, not {type(run.objective).__name__} of {run.model.stacks} (config.objective)"
        )
    dropped = run.model.dropout or run.model.layer_dropout or (lora is not None and lora.dropout)
    if run.training.r_drop and not dropped:
        raise UserError(
            f"config.training.r_drop: {run.training.r_drop} compares two dropouts of each row, and "
            "config.model.dropout is 0"
        )


def _check_steps(run: Run) -> None:
    """Checks what stands at a step of its own against the number of steps."""
    steps = run.training.steps
    if run.monitoring.profile[1] > steps:
        raise UserError(
            f"config.monitoring.profile: {run.monitoring.profile} ends after the last step, "
            f"{steps} (config.training.steps)"
        )
    if isinstance(run.schedule, Linear | Cosine) and run.schedule.warmup_steps >= steps:
        raise UserError(
            f"config.schedule.warmup_steps: {run.schedule.warmup_steps} leave nothing of the "
            f"{steps} steps (config.training.steps) for the way down from the peak"
        )


def _check_mesh(run: Run, sizes: dict[str, int]) -> None:
    """Checks that everything that a mesh of `sizes` splits can be split so.

    Left alone, what does not divide would silently stand whole on every device.
    """

    def divides(count: int, axes: tuple[str, ...], key: str, what: str) -> None:
        parts = math.prod(sizes[axis] for axis in axes)
        if count % parts:
            axis = next((a for a in axes if sizes[a] > 1), axes[0])
            raise UserError(
                f"config.mesh.{axis}: {' * '.join(axes)} = {parts} does not divide "
                f"{count} {what} (config.{key}); {_instead(count, parts, axes)}"
            )

    if sizes["expert"] > 1 and not run.model.experts:
        raise UserError(
            f"config.mesh.expert: {sizes['expert']}, and config.model has no experts; set it to 1"
        )
    if run.model.experts:
        divides(run.model.experts, ("expert",), "model.experts", "of the model")
    parts = run.training.accumulation
    for size in (run.data.batch_size, *(size for _, size in run.data.batch_ramp)):
        key = "data.batch_size" if size == run.data.batch_size else "data.batch_ramp"
        if size % parts:
            raise UserError(
                f"config.training.accumulation: {parts} does not divide the batch of "
                f"{size} rows (config.{key})"
            )
        divides(size // parts, ROWS, key, "rows" if parts == 1 else "rows a microbatch")
    if run.data.evaluation and run.data.evaluation_batch_size:
        divides(run.data.evaluation_batch_size, ROWS, "data.evaluation_batch_size", "rows")
    for field in ("heads", "d_ff", "vocab_size"):
        divides(getattr(run.model, field), ("tensor",), f"model.{field}", "of the model")
    divides(run.model.d_model, ("fsdp",), "model.d_model", "of the model")
    inputs, targets = implementation(run.posed).lengths(run.posed)
    divides(inputs, ("context",), "objective.inputs_length", "input positions")
    if run.model.stacks != ENCODER:  # there targets are gathered positions, which are not split
        divides(targets, ("context",), "objective.targets_length", "target positions")


def _instead(count: int, parts: int, axes: tuple[str, ...]) -> str:
    """What to set where `parts` do not divide `count`: the axis, or what is counted."""
    if len(axes) == 1:
        below = max(n for n in range(1, min(parts, count) + 1) if count % n == 0)
        return f"set {axes[0]} to {below}, or a multiple of {parts} there"
    low, high = count // parts * parts, -(-count // parts) * parts
    return f"take {f'{low} or ' if low else ''}{high} there, or smaller axes"


def check_devices(run: Run, devices: int) -> None:
    """Checks the mesh, its -1 filled in, against the number of devices and what it splits.

    Raises: UserError naming the mesh axis, and what it does not divide.
    """
    from t2t.parallel.mesh import mesh_shape

    _check_mesh(run, mesh_shape(run.mesh, devices))


def check_inputs(run: Run, workdir: str = "") -> None:
    """Checks that every file named exists and that a given vocabulary fits, before all that is slow.

    workdir: the run's directory; where it holds a checkpoint its own copy of the vocabulary counts,
    and what `config.initial` names is not needed any more.
    Raises: UserError naming the corpus and the file, the vocabulary, or the initial run.
    """
    from t2t.data import sources
    from t2t.tasks import pairs as tasks
    from t2t.training.inputs import open_tokenizer, steps_in
    from t2t.training.task_scores import check_tasks

    for key, corpora in all_corpora(run):
        for i, corpus in enumerate(corpora):
            try:
                if isinstance(corpus.source, Task):
                    tasks.check(corpus.source, run.model.stacks, headed(run.objective))
                else:
                    sources.names(corpus.source)
            except UserError as error:
                raise UserError(f"config.data.{key}[{i}].source: {error}") from None
    check_tasks(run)
    given = run.initial if not (workdir and steps_in(f"{workdir}/checkpoints")) else None
    if given is not None and not isinstance(given, FromTeacher):
        _check_model_there(
            given, run.model, "config.initial", "config.model", headed(run.objective)
        )
    if run.teacher is not None:
        where = "config.teacher.source", "config.teacher.model"
        _check_model_there(run.teacher.source, run.teacher.model, *where)
    if isinstance(run.tokenizer, _IN_A_FILE):
        try:
            vocabulary = open_tokenizer(run, lambda text: None, workdir).vocabulary
        except UserError as error:
            raise UserError(f"config.tokenizer.path: {error}") from None
        check_vocabulary(run, vocabulary)


def _check_model_there(
    source: Initial, model: Architecture, key: str, ours: str, head: Headed | None = None
) -> None:
    """Checks that what parameters are read from (config key `key`) is there, and its model this one,
    but for a head that `head` answers with: that is drawn (t2t.training.initial).

    Raises: UserError showing every field in which it differs from `model` (config key `ours`).
    """
    path, allowed = source.path, _NOT_OF_PARAMETERS
    if isinstance(source, FromRun):
        from t2t.interop import huggingface

        if huggingface.is_directory(path):
            raise UserError(
                f"{key}.path: {path} is a Hugging Face directory; "
                f"--{key}=FromHuggingFace({path!r}) begins with it"
            )
        base = load_saved(path)
        if base is None:
            raise UserError(f"{key}.path: {path} holds no run (no {CONFIG})")
        found = base.model
    else:
        from t2t.training.initial import open_initial

        found = open_initial(source, key).arch
        if isinstance(source, FromT5X):
            allowed = (*allowed, *_NOT_IN_T5X)
    differing = [
        f"{field}: {here!r} here, {there!r} in {path}"
        for field, (there, here) in schema.difference(found, model, ours).items()
        if field.removeprefix(f"{ours}.") not in allowed
        and not (
            field == f"{ours}.token_classes" and (not there or isinstance(head, ExtractiveSpans))
        )
        and not (field == f"{ours}.pair_classes" and isinstance(head, Classes))
        and not (field == f"{ours}.pooler_activation" and not found.pair_classes)
    ]
    if differing:
        raise UserError(f"{'; '.join(differing)} ({key}.path); set it to what it is there")


def load(spec: str, overrides: list[tuple[str, str]] = ()) -> Run:
    """Loads `NAME[:ARG]`, applies overrides in order, and checks the result.

    spec: a recipe's path or name, and the argument of its `get_config(arg)` after a colon.
    overrides: (field path, text) pairs. Raises: UserError, one line.
    """
    run = recipes.get_config(spec, Run)
    for key, text in overrides:
        run = command_line.override(run, key, text)
    check(run)
    return run


# -------------------------------------------------------------------------- the saved copy, resume


def save(run: Run, workdir: str, surroundings: dict[str, dict]) -> None:
    """Writes the resolved configuration, and beside it what ran it, to `config.json`, atomically."""
    text = json.dumps({"config": schema.to_json(run), **surroundings}, indent=1) + "\n"
    target = f"{workdir}/{CONFIG}"
    if "://" in workdir:
        with fsspec.open(target, "wt", encoding="utf-8") as file:
            file.write(text)
        return
    try:
        os.makedirs(workdir, exist_ok=True)
        with open(target + ".new", "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(target + ".new", target)
    except OSError as error:
        if error.errno in _NOT_WRITABLE:
            raise UserError(
                f"--workdir={workdir}: cannot be written ({error.strerror}); give another"
            ) from None
        raise Failure(f"{target}: {error.strerror or error}") from None


def load_saved(workdir: str) -> Run | None:
    """Returns the configuration saved in a run directory, or None where there is none.

    Raises: UserError when the file is not one of ours.
    """
    target = f"{workdir}/{CONFIG}"
    try:
        with fsspec.open(target, "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Failure(f"{target}: {error}") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{target}: is damaged, not JSON ({error}); put a whole one back, a run's from the copy "
            "in any of its checkpoints, a published model's from where it was published"
        ) from None
    try:
        data = data["config"]
    except (KeyError, TypeError):
        raise UserError(
            f"{target}: is no run's configuration, nor that of published weights that t2t reads; "
            "name another folder"
        ) from None
    try:
        run = schema.from_json(data, Run, "config")
        check(run, trains=False)
    except UserError as error:
        raise UserError(f"{target}: {error}") from None
    return run


def check_resume(saved: Run, new: Run, workdir: str) -> None:
    """Refuses to go on with a run whose new configuration differs in what cannot change.

    Raises: UserError that shows every such difference on one line.
    """
    allowed = re.compile("config\\.(" + "|".join(RESUMABLE) + ")$")
    # A stream is a row of the batch: with other rows none would go on.
    fixed = ("config.data.batch_size",) if new.data.order == "streams" else ()
    refused = {
        path: values
        for path, values in schema.difference(saved, new).items()
        if path in fixed or not allowed.match(path)
    }
    if refused:
        shown = "; ".join(f"{p}: {a!r} -> {b!r}" for p, (a, b) in list(refused.items())[:6])
        more = f"; and {len(refused) - 6} more" if len(refused) > 6 else ""
        raise UserError(
            f"{workdir} holds a run with another configuration ({shown}{more}); "
            "undo the change, or give another --workdir"
        )


def check_directory(run: Run, workdir: str) -> None:
    """Refuses a directory that holds another run, or checkpoints that nothing says the run of.

    Raises: UserError naming the directory and the difference.
    """
    saved = load_saved(workdir)
    if saved is not None:
        check_resume(saved, run, workdir)
    elif os.path.isdir(f"{workdir}/checkpoints") and os.listdir(f"{workdir}/checkpoints"):
        raise UserError(
            f"--workdir={workdir}: holds checkpoints but no {CONFIG}; give another, or put it back "
            "(every checkpoint holds a copy)"
        )


def open_directory(run: Run, workdir: str, writes: bool = True) -> dict:
    """Makes a run directory this run's own: refuses another run's, saves the configuration.

    writes: False in all but one of several processes. Returns what every checkpoint records of it.
    """
    check_directory(run, workdir)
    if writes:
        import jax

        from t2t.parallel import compiler_flags

        flags = compiler_flags.for_devices(
            jax.devices(), run.training.device_flags, run.training.compiler_flags
        )
        around = {"versions": versions(), "hardware": hardware(), "compiler_flags": flags}
        save(run, workdir, around)
    return {"config": schema.to_json(run), "versions": versions()}
