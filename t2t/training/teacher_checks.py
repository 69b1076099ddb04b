"""What must hold between a run's teacher and everything else of it: no file is opened."""

from t2t import schema
from t2t.errors import UserError
from t2t.objectives.masking_config import MaskedLM
from t2t.training.initial_config import FromTeacher

# What of a student's model may differ from the teacher whose layers it begins as.
_NOT_TAKEN = ("encoder_layers", "dropout", "layer_dropout", "dtype", "layers", "remat")
_NOT_TAKEN += ("pooler_activation",)  # of a head that no student has


def check_teacher(run) -> None:
    """Checks that the teacher predicts what the model does, and what else does not go with one.

    Raises: UserError naming the key.
    """
    if run.teacher is None:
        if isinstance(run.initial, FromTeacher):
            raise UserError("config.initial: FromTeacher, and config.teacher is none")
        return
    teacher, model = run.teacher.model, run.model
    for name, arch in (("config.model", model), ("config.teacher.model", teacher)):
        if arch.head != "masked" or arch.decoder_layers:
            raise UserError(f"{name}: a teacher is for masked language models (head='masked')")
    if not isinstance(run.objective, MaskedLM) or run.objective.pairs != "none":
        raise UserError("config.objective: a teacher is for MaskedLM with pairs='none'")
    for key, given in (
        ("generator", run.generator is not None),
        ("training.lora", run.training.lora is not None),
        ("training.r_drop", run.training.r_drop),
    ):
        if given:
            raise UserError(f"config.{key}: is not for a model with a teacher")
    if teacher.vocab_size != model.vocab_size:
        raise UserError(
            f"config.model.vocab_size: {model.vocab_size}, and the teacher's is "
            f"{teacher.vocab_size}; both predict the same vocabulary"
        )
    if run.teacher.cosine_weight and teacher.d_model != model.d_model:
        raise UserError(
            f"config.teacher.cosine_weight: hidden states are {teacher.d_model} wide in the teacher "
            f"and {model.d_model} here; set it to 0"
        )
    room = teacher.learned_positions - teacher.first_position
    if 0 < room < run.objective.length:
        raise UserError(
            f"config.objective.length: {run.objective.length} are more than the teacher's {room} "
            "positions"
        )
    if isinstance(run.initial, FromTeacher):
        _check_layers(run.initial.layers, teacher, model)


def _check_layers(layers: tuple[int, ...], teacher, model) -> None:
    """Checks that the student can be made of these layers of the teacher."""
    if len(layers) != model.encoder_layers:
        raise UserError(
            f"config.initial.layers: {len(layers)} for {model.encoder_layers} layers "
            "(config.model.encoder_layers)"
        )
    if max(layers) >= teacher.encoder_layers:
        raise UserError(
            f"config.initial.layers: {max(layers)}, and the teacher's are 0 to "
            f"{teacher.encoder_layers - 1}"
        )
    if teacher.layer_groups:
        raise UserError("config.initial: the teacher's layers are one another's parameters")
    for key, (theirs, ours) in schema.difference(teacher, model, "config.model").items():
        name = key.removeprefix("config.model.")
        dropped = name in ("token_types", "pair_classes") and not ours
        if not (dropped or name in _NOT_TAKEN):
            raise UserError(
                f"{key}: {ours!r}, and the teacher's is {theirs!r}; layers are taken from it "
                "(config.initial)"
            )
