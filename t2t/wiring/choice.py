"""Which networks and which loss a run's objective and settings ask for."""

from collections.abc import Callable

from jax.sharding import Mesh

from t2t.models.architecture import ENCODER, Architecture
from t2t.models.transformer import Model, common_units
from t2t.objectives.config import (
    Classes,
    ErnieTasks,
    ExtractiveSpans,
    PermutationLM,
    TextToText,
)
from t2t.objectives.ernie_tasks import sentence_tasks
from t2t.objectives.masking_config import MaskedLM
from t2t.vocabulary_loss import Chunks
from t2t.wiring import (
    classes,
    extractive,
    generator_discriminator,
    masked,
    multi_task,
    permuted,
    r_drop,
    single,
    teacher_student,
)


def wired(
    run, build: Callable[[Architecture], Model], mesh: Mesh | None = None
) -> tuple[Model, Callable, Callable]:
    """Returns (the model with all parameters of the run, what training differentiates, what held-out
    text is scored by), the latter two as `loss_fn`. mesh: as in `loss_functions`."""
    model = build(run.model)
    if run.teacher is not None:
        return _distilled(run, model, build(run.teacher.model), mesh)
    if run.generator is None:
        return model, *loss_functions(run, model, mesh)
    generator, weight = build(run.generator), run.objective.replaced_weight
    losses = (
        generator_discriminator.loss_function(model, generator, *terms, weight)
        for terms in ((run.training.z_loss, run.training.label_smoothing), (0.0, 0.0))
    )
    return generator_discriminator.both(model, generator), *losses


def _distilled(
    run, model: Model, teacher: Model, mesh: Mesh | None
) -> tuple[Model, Callable, Callable]:
    """As `wired`, of a model with a teacher, whose parameters are among the frozen ones."""
    chunks = None if mesh is None else Chunks(mesh, run.training.loss_tokens)
    given = run.teacher
    weights = given.divergence_weight, given.masked_weight, given.cosine_weight
    losses = (
        teacher_student.loss_function(model, teacher, weights, given.temperature, *terms, chunks)
        for terms in ((run.training.z_loss, run.training.label_smoothing), (0.0, 0.0))
    )
    return model._replace(units=common_units(model, teacher)), *losses


def loss_functions(run, model: Model, mesh: Mesh | None = None) -> tuple[Callable, Callable]:
    """Returns (what training differentiates, what held-out text is scored by), `loss_fn` both.

    mesh: on which they run; None: on one device, with all logits at once.
    """
    chunks = None if mesh is None else Chunks(mesh, run.training.loss_tokens)
    terms = run.training.z_loss, run.training.label_smoothing
    match run.objective:
        case ErnieTasks(weight=weight):
            tasks = weight, sentence_tasks(run.objective), chunks
            return multi_task.loss_function(model, *terms, *tasks), multi_task.loss_function(
                model, 0.0, 0.0, *tasks
            )
        case MaskedLM(pairs=pairs, pair_weight=weight):
            weight = 0.0 if pairs == "none" else weight
            return masked.loss_function(model, *terms, weight, chunks), masked.loss_function(
                model, 0.0, 0.0, weight, chunks
            )
        case PermutationLM(memory=memory, reuse=reuse):
            remembers = memory, reuse or None, chunks
            return permuted.loss_function(model, *terms, *remembers), permuted.loss_function(
                model, 0.0, 0.0, *remembers
            )
        case ExtractiveSpans():
            return tuple(extractive.loss_function(model, z) for z in (run.training.z_loss, 0.0))
        case Classes():
            return classes.loss_function(model, *terms), classes.loss_function(model, 0.0, 0.0)
        case TextToText() if model.arch.relative_attention:
            return permuted.answers_loss_function(
                model, *terms, chunks
            ), permuted.answers_loss_function(model, 0.0, 0.0, chunks)
        case TextToText() if model.arch.stacks == ENCODER:
            return masked.loss_function(model, *terms, chunks=chunks), masked.loss_function(
                model, 0.0, 0.0, chunks=chunks
            )
    plain = single.loss_function(model, 0.0, 0.0, chunks)
    if run.training.r_drop:
        return r_drop.loss_function(model, *terms, run.training.r_drop), plain
    return single.loss_function(model, *terms, chunks, run.training.balance_loss), plain


def first_carry(run, model: Model) -> dict:
    """Returns what the first step is handed from none before it: arrays by row, [B, ...] each, or none."""
    memory = run.objective.memory
    return permuted.empty(model, run.data.batch_size, memory) if memory else {}
