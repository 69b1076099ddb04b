"""How a run starts: its first state, new or restored, and what its checkpoints record of that."""

import os
from collections.abc import Callable

import jax

from t2t.data.order import continue_schedule
from t2t.data.tokenizer_files import keep
from t2t.errors import UserError
from t2t.models.lora_config import is_adapter
from t2t.models.partition import TEACHER, own, partition
from t2t.objectives.implementations import headed
from t2t.training import programs as program_builder
from t2t.training.checkpoints import CheckpointStore
from t2t.training.frozen import keep_frozen, read_frozen
from t2t.training.initial import initial_parameters
from t2t.training.initial_config import FromTeacher
from t2t.training.inputs import Inputs
from t2t.training.programs import Programs
from t2t.training.teacher import read_teacher, student_of


def first_state(
    run,
    programs: Programs,
    inputs: Inputs,
    checkpoints: CheckpointStore,
    workdir: str,
    say: Callable,
) -> tuple[int, dict, dict]:
    """Returns (steps done, state, what every checkpoint records of the run so far).

    The state is that of the newest sound checkpoint, or of a new run: drawn at random, or begun with
    the parameters of `run.initial`.
    Raises: UserError where vocabulary or text is no longer what the run began with.
    """
    text = identity(inputs)
    if checkpoints.latest_step() is None:
        if os.path.exists(os.path.join(workdir, "metrics.jsonl")):
            say("starting over: no checkpoint was finished before")
        if jax.process_index() == 0:
            keep(inputs.tokenizer, workdir)
        teacher, told = _teacher(run, programs, None, say)
        state, origin = _new_state(run, programs, teacher, say)
        if state["frozen"]:
            origin["frozen"] = keep_frozen(workdir, state["frozen"])
        state, origin = {**state, "frozen": {**state["frozen"], **teacher}}, {**origin, **told}
        return 0, state, {**text, "batch_pieces": run.data.pieces(), **origin}
    start, state, saved = checkpoints.restore(saved_part(programs.shapes))
    for what, found in text.items():
        if what in saved and saved[what] != found:
            raise UserError(
                f"{workdir}: the {what} is no longer what the run began with "
                f"({saved[what]} -> {found}); put it back, or give another --workdir"
            )
    frozen = own(programs.shapes["frozen"])
    if frozen:
        frozen = read_frozen(workdir, frozen, saved["frozen"], say)
    teacher, _ = _teacher(run, programs, saved.get(TEACHER), say)
    frozen = {**frozen, **teacher}
    say(f"resumed from step {start} of {workdir}")
    pieces = continue_schedule(saved["batch_pieces"], run.data.pieces(), start)
    return start, {**state, "frozen": frozen}, {**saved, **text, "batch_pieces": pieces}


def saved_part(state: dict) -> dict:
    """Returns what a checkpoint holds of a state: all but what never changes (see `frozen`)."""
    return {name: part for name, part in state.items() if name != "frozen"}


def _teacher(
    run, programs: Programs, said: dict | None, say: Callable
) -> tuple[dict, dict[str, dict]]:
    """Returns a teacher's parameters and what is recorded of them, both under its name; {}: none."""
    if run.teacher is None:
        return {}, {}
    params, origin = read_teacher(run.teacher, programs.shapes["frozen"][TEACHER], said, say)
    return {TEACHER: params}, {TEACHER: origin}


def _new_state(run, programs: Programs, teacher: dict, say: Callable) -> tuple[dict, dict]:
    key = program_builder.init_key(run.training.seed)
    if run.initial is None:
        return programs.init(key), {}
    _, wanted = partition(own(programs.parameters), is_adapter)
    if isinstance(run.initial, FromTeacher):
        layers = run.initial.layers
        given = student_of(teacher[TEACHER], layers, wanted)
        return programs.begin(key, given), {"initial": {"layers": list(layers)}}
    given, origin = initial_parameters(run.initial, wanted, say, headed(run.objective))
    return programs.begin(key, given), {"initial": origin}


def identity(inputs: Inputs) -> dict[str, str]:
    """Returns the fingerprints of what must stay the same in a run: vocabulary and training text."""
    texts = zip(inputs.train.names, inputs.train.stores, strict=True)
    return {
        "tokenizer": inputs.tokenizer.vocabulary.fingerprint,
        "training text": ", ".join(f"{name} {store.fingerprint}" for name, store in texts),
    }
