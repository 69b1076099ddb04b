"""`t2t eval`: judge checkpoints of a run on tasks; started again it decodes nothing twice."""

import re
import sys
import time
from collections.abc import Iterator

from t2t.commands.options import TOKENIZER_HELP, at_least
from t2t.errors import UserError

_FOLLOW_SECONDS = 5.0


def add_arguments(parser) -> None:
    count, least = at_least(1), at_least(0)
    parser.add_argument("--workdir", required=True, help="a run's directory, or published weights")
    parser.add_argument(
        "--tokenizer",
        default="",
        help=f"of published weights without one, as T5X's: {TOKENIZER_HELP}",
    )
    parser.add_argument(
        "--tasks",
        required=True,
        metavar="A,B,...",
        help="names from `t2t tasks`, your own .toml files, or all of glue or super_glue (with "
        "--submission also their diagnostics, and WNLI)",
    )
    parser.add_argument(
        "--steps",
        default="latest",
        metavar="latest|best|all|N,M,...",
        help="which checkpoints (default: latest)",
    )
    parser.add_argument(
        "--follow", action="store_true", help="also those that training still saves"
    )
    parser.add_argument("--data", default="", help="folder of published files or TFDS datasets")
    parser.add_argument("--split", default="", help="default: the one that each task is judged on")
    parser.add_argument("--limit", type=least, default=0, help="only the first examples")
    parser.add_argument("--shots", type=least, default=0, help="solved examples before each input")
    parser.add_argument("--seed", type=least, default=0, help="of the shots (0)")
    parser.add_argument("--beams", type=least, default=0, help="1 is greedy (default: the task's)")
    parser.add_argument("--inputs-length", type=least, default=0, help="tokens (the task's)")
    parser.add_argument("--targets-length", type=least, default=0, help="tokens (the task's)")
    parser.add_argument("--rank", action="store_true", help="take the likeliest of the choices")
    parser.add_argument("--batch-size", type=count, default=32, help="examples a batch (32)")
    parser.add_argument(
        "--resamples", type=least, default=1000, help="bootstrap draws of intervals (1000; 0: none)"
    )
    parser.add_argument(
        "--share", default="", metavar="I/N", help="decode only the I-th of N shares, on N machines"
    )
    parser.add_argument(
        "--submission", default="", metavar="DIR", help="write GLUE and SuperGLUE submissions there"
    )


def execute(options, _overrides) -> None:
    from t2t.evaluation.config import Judging
    from t2t.evaluation.shares import WHOLE
    from t2t.trained import load_trained

    workdir = options.workdir.rstrip("/")
    from t2t.evaluation import averages, submission

    suites = submission.SUITES if options.submission else averages.SUITES
    tasks = _tasks(options.tasks, suites)
    share = _share(options.share) if options.share else WHOLE
    settings = Judging(**{name: getattr(options, name) for name in Judging.__dataclass_fields__})
    settings.check("eval")
    if options.submission:
        _check_submission(options, tasks)
    run = load_trained(workdir, tokenizer=options.tokenizer)
    steps = _steps(options.steps, run, workdir)
    if options.submission and (len(steps) != 1 or options.follow):
        raise UserError("--submission: leaderboards take one checkpoint; name it by --steps")
    from t2t.evaluation import tables
    from t2t.evaluation.predictions import results
    from t2t.monitoring.report.write import report_at_the_end
    from t2t.training.faults import StopRequest

    stop, found = StopRequest(), []
    with stop.listening(), stop.leaving_at_once():
        try:
            _evaluate(run, workdir, tasks, steps, settings, share, options.follow, found)
        finally:
            if found:
                tables.write(workdir, results(workdir))
                report_at_the_end(workdir)
    if found:
        print("\n".join(tables.screen(tables.HEADER, tables.rows(found))))
        _say(f"{workdir}/predictions holds every prediction, and scores.json, .csv and .md")
    if stop:
        _say(f"{stop.reason}: what is decoded is kept; the same command goes on from there")
    elif options.submission:
        _submit(options.submission, workdir, found)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _evaluate(run, workdir: str, tasks, steps, settings, share, follow: bool, found: list) -> None:
    """Judges; every result is appended to `found` as soon as it is there."""
    from t2t.decoding.decode import make_decoder
    from t2t.evaluation.evaluate import Checkpoint, evaluate_run
    from t2t.evaluation.prepared import prepare
    from t2t.interop.opening import is_published
    from t2t.models.transformer import build
    from t2t.monitoring import compile_cache
    from t2t.monitoring.examples_progress import ExamplesProgress
    from t2t.objectives.implementations import headed
    from t2t.parallel.mesh import mesh_here
    from t2t.parallel.sharding import constrainer
    from t2t.training.checkpoint_identity import identity
    from t2t.training.inputs import open_tokenizer
    from t2t.training.restored import restored

    tokenizer = open_tokenizer(run, _say, workdir)
    fingerprints = {}
    for step in steps:
        fingerprints[step] = identity(workdir, step, tokenizer.vocabulary.fingerprint)
    head = headed(run.objective)
    prepared = [prepare(task, settings, tokenizer, run.model, head) for task in tasks]
    _tell_unnamed(prepared)
    compile_cache.enable()
    mesh = mesh_here(run.mesh)
    model = build(run.model) if mesh is None else build(run.model, constrain=constrainer(mesh))

    def checkpoint(step: int) -> Checkpoint:
        known = fingerprints.get(step)
        return Checkpoint(
            step,
            known or identity(workdir, step, tokenizer.vocabulary.fingerprint),
            lambda: restored(run, workdir, None if is_published(workdir) else step, mesh)[1],
        )

    wanted = _followed(run, workdir, steps) if follow else iter(steps)
    progress = ExamplesProgress()
    try:
        for result in evaluate_run(
            workdir,
            prepared,
            map(checkpoint, wanted),
            make_decoder(model, tokenizer, mesh),
            settings,
            share=share,
            say=progress.say,
            progress=progress,
        ):
            found.append(result)
            progress.say(_summary(result))
    finally:
        progress.close()


def _tell_unnamed(prepared: list) -> None:
    """Says of a classifier whose labels have no names what they are taken for."""
    from t2t.tasks.class_answers import unnamed

    for one in prepared:
        if one.classes and unnamed(one.classes):
            choices = ", ".join(one.examples[0].choices)
            _say(
                f"{one.name}: the model's labels have no names (LABEL_0, ...) and are taken to be "
                f"{choices}, in this order; id2label of its config.json can name them"
            )


def _summary(result: dict) -> str:
    scores = ", ".join(f"{k} {v:.2f}" for k, v in result["scores"].items() if v is not None)
    return (
        f"{result['name']} at step {result['step']}: {scores or 'no score'}; {result['examples']} "
        f"examples, {result['invalid']} invalid, {result['truncated']} inputs cut"
    )


def _followed(run, workdir: str, steps: list[int]) -> Iterator[int]:
    """These steps, then every one that is saved later, until the run's last."""
    from t2t.training.checkpoint_reading import steps_in

    yield from steps
    newest = max(steps)
    while newest < run.training.steps:
        later = [step for step in steps_in(f"{workdir}/checkpoints") if step > newest]
        if not later:
            time.sleep(_FOLLOW_SECONDS)
            continue
        newest = later[0]
        yield newest


def _tasks(text: str, suites: dict[str, tuple[str, ...]]) -> list:
    """The tasks that `--tasks` names, or that a suite's name stands for. Raises UserError for one that
    is not there or named twice."""
    from t2t.tasks.catalog import find

    found = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        found += map(find, suites.get(name, (name,)))
    names = [task.name for task in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"--tasks={text}: names {twice[0]} twice")
    if not found:
        raise UserError("--tasks: names no task; `t2t tasks` lists them")
    return found


def _share(text: str):
    from t2t.evaluation.shares import Share

    parts = re.fullmatch(r"(\d+)/(\d+)", text)
    if not parts or not 1 <= int(parts[1]) <= int(parts[2]):
        raise UserError(f"--share={text}: write it as I/N, 1/4 to 4/4 for four machines")
    return Share(int(parts[1]) - 1, int(parts[2]))


def _steps(text: str, run, workdir: str) -> list[int]:
    """The steps that `--steps` names. Raises UserError for one that was not saved."""
    from t2t.interop.opening import is_published
    from t2t.training.checkpoint_reading import saved_steps

    if is_published(workdir):
        if text not in ("latest", "all", "0"):
            raise UserError(f"--steps={text}: {workdir} holds published weights, which are step 0")
        return [0]
    folder = f"{workdir}/checkpoints"
    saved = saved_steps(folder)
    if text == "all":
        return saved
    if text == "latest":
        return saved[-1:]
    if text == "best":
        return [_best(run, folder, saved)]
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--steps={text}: write latest, best, all, or steps as in 100,200")
    steps = sorted({int(part) for part in text.split(",")})
    saved_steps(folder, steps, f"--steps={text}: ")
    return steps


def _best(run, folder: str, saved: list[int]) -> int:
    from t2t.training.checkpoint_reading import Unsound, read_manifest

    metric, sign = run.checkpoints.best_metric, 1 if run.checkpoints.best_mode == "min" else -1
    if not metric:
        raise UserError(
            "--steps=best: the run does not say by which metric (config.checkpoints.best_metric); "
            "name the steps"
        )
    values = {}
    for step in saved:
        try:
            value = read_manifest(folder, step)["metrics"].get(metric)
        except Unsound:
            continue
        if isinstance(value, int | float) and value == value:
            values[step] = sign * value
    if not values:
        raise UserError(f"--steps=best: no checkpoint in {folder} was saved with {metric}")
    return min(values, key=lambda step: (values[step], -step))


def _check_submission(options, tasks: list) -> None:
    """Raises UserError where what is asked cannot be handed in."""
    from t2t.evaluation.submission import form_of

    files = [(form.benchmark, form.name) for form in (form_of(task.name) for task in tasks)]
    twice = next((name for name in files if files.count(name) > 1), None)
    if twice:
        raise UserError(
            f"--submission: two of the tasks are {twice[0]}'s {twice[1]}; leave one out"
        )
    if options.split != "test" and any(task.judged != "test" for task in tasks):
        raise UserError("--submission: leaderboards take the test split; add --split=test")
    if options.limit:
        raise UserError("--submission: leaderboards take whole test sets; leave out --limit")
    if options.share:
        raise UserError(
            "--submission: is written from all shares; judge them by --share first, then the same "
            "without it"
        )


def _submit(folder: str, workdir: str, found: list) -> None:
    """Writes the leaderboards' files, and says which of theirs are not there."""
    from t2t.evaluation.predictions import FOLDER, read_lines
    from t2t.evaluation.submission import form_of, missing, submit

    for result in found:
        lines = read_lines(f"{workdir}/{FOLDER}/{result['name']}/{result['step']}.jsonl")
        _say(f"wrote {submit(folder, result['task'], lines)}")
    for benchmark in sorted({form_of(result["task"]).benchmark for result in found}):
        absent = missing(folder, benchmark)
        if absent:
            _say(f"{folder}/{benchmark}: not complete; {benchmark} also wants {', '.join(absent)}")
        else:
            _say(f"{folder}/{benchmark}: all that {benchmark} wants, to be zipped and handed in")
