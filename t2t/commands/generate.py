"""`t2t generate`: write an output for each input, or fill the blanks (<extra_id_0>) of each line.

On a terminal, without --input, it asks for a line and answers, until Ctrl-D.
"""

import dataclasses
import hashlib
import itertools
import json
import re
import sys
import time

from t2t.commands.input_lines import FIELD, read_inputs
from t2t.commands.options import TOKENIZER_HELP, at_least
from t2t.commands.prompt import prompt
from t2t.errors import UserError, nearest


def add_arguments(parser) -> None:
    count = at_least(1)
    parser.add_argument("--workdir", required=True, help="a run's directory, or a Hugging Face one")
    parser.add_argument(
        "--step", type=at_least(0), default=None, help="checkpoint (default: the newest)"
    )
    parser.add_argument(
        "--tokenizer",
        default="",
        help=f"of published weights without one, as T5X's: {TOKENIZER_HELP}",
    )
    parser.add_argument(
        "--input",
        default="-",
        help="a text file, a line an input, or .jsonl with --field (default: standard input; on a "
        "terminal, line by line)",
    )
    parser.add_argument(
        "--field", default=None, help=f"the input's key in JSONL (default: {FIELD})"
    )
    parser.add_argument(
        "--output",
        default="",
        metavar="FILE.jsonl",
        help="write JSONL there; killed and started again, it goes on (default: text to stdout)",
    )
    parser.add_argument("--batch-size", type=count, default=32, help="inputs a batch (default: 32)")
    parser.add_argument(
        "--mesh",
        default="",
        metavar="AXIS=N,...",
        help="devices along each axis, as config.mesh has them (default: the run's mesh where it "
        "fits the devices here, else all of them along data)",
    )
    parser.add_argument("--max-tokens", type=count, default=64, help="longest output (default: 64)")
    parser.add_argument("--prefix", default="", help="what every output begins with")
    parser.add_argument("--stop", action="append", default=[], help="ends an output; repeatable")
    parser.add_argument("--beams", type=count, default=None, help="beam search (default: greedy)")
    parser.add_argument("--length-penalty", type=float, default=None, help="of beams (0.6)")
    parser.add_argument("--n-best", type=count, default=None, help="hypotheses of beams (1)")
    parser.add_argument("--temperature", type=float, default=None, help="sample (1.0)")
    parser.add_argument("--top-k", type=at_least(0), default=None, help="sample of the k likeliest")
    parser.add_argument("--top-p", type=float, default=None, help="sample of the likeliest p")
    parser.add_argument("--samples", type=count, default=None, help="samples an input (1)")
    parser.add_argument("--seed", type=at_least(0), default=None, help="of samples (0)")


def execute(options, _overrides) -> None:
    from t2t.data.files import check_place
    from t2t.trained import load_trained

    config = _decoding(options)
    if options.output:
        check_place(options.output, "--output")
    run = load_trained(options.workdir, tokenizer=options.tokenizer)
    from t2t.decoding.prompts import check_writes

    try:
        check_writes(run.model)
    except UserError as error:
        raise UserError(f"--workdir={options.workdir}: {error}") from None
    asking = options.input == "-" and sys.stdin.isatty() and sys.stdout.isatty()
    asking = asking and not options.output
    lines = [] if asking else read_inputs(options.input, options.field)
    from t2t.training import host_memory

    if host_memory.only_cpus():
        host_memory.keep_freed_memory()
    from t2t.decoding.decode import check_beams, make_decoder
    from t2t.training.restored import restored, step_of

    check_beams(config, run.model.vocab_size)
    mesh = _mesh(options.mesh, run.mesh)
    step = step_of(options.workdir, options.step)
    journal = None
    if options.output:
        journal = _journal(options, run, step, lines, config)
    model, params, tokenizer = restored(run, options.workdir, step, mesh)
    decoder = make_decoder(model, tokenizer, mesh)

    def write(lines: list[str], journal=None, first: int = 0) -> list[dict]:
        return _write(decoder, params, lines, config, options.batch_size, journal, first)

    if asking:
        answered = itertools.count()
        prompt(lambda line: _shown(write([line], first=next(answered))[0]))
    elif journal is not None:
        write(lines, journal)
        journal.finish()
    else:
        for row in write(lines):
            print(_shown(row))


def _journal(options, run, step: int | None, lines: list[str], config):
    """What is done already, where the same command was killed before."""
    from t2t.decoding.journal import Journal
    from t2t.training.checkpoint_identity import identity
    from t2t.training.inputs import open_tokenizer

    tokenizer = open_tokenizer(run, lambda text: None, options.workdir)
    settings = {
        "input": hashlib.sha256(json.dumps(lines).encode()).hexdigest(),
        "workdir": options.workdir,
        "step": step,
        "checkpoint": identity(options.workdir, step, tokenizer.vocabulary.fingerprint),
        "decoding": {type(config).__name__: dataclasses.asdict(config)},
    }
    return Journal(options.output, settings)


def _shown(row: dict) -> str:
    """The outputs of an input as text, a line each; its blanks filled where it has any."""
    from t2t.decoding.fill import SENTINEL, filled, spans

    blanks = SENTINEL.search(row["inputs"])
    texts = [output["text"] for output in row["outputs"]]
    return "\n".join(filled(row["inputs"], spans(t)) if blanks else t for t in texts)


def _mesh(text: str, of_run):
    """The mesh that `AXIS=N,...` asks for, or the run's own, or all devices along data; None where
    there is one device."""
    import jax

    from t2t.parallel.mesh import make_mesh, mesh_here, mesh_shape
    from t2t.parallel.mesh_config import AXES, Mesh

    sizes = {}
    for part in filter(None, text.split(",")):
        axis, _, size = part.partition("=")
        if axis not in AXES:
            raise UserError(f"--mesh: no axis {axis!r}{nearest(axis, AXES)}")
        if not re.fullmatch(r"-?\d+", size):
            raise UserError(f"--mesh: {part!r} is not AXIS=N, for instance data=4")
        sizes[axis] = int(size)
    if not sizes:
        return mesh_here(of_run)
    if -1 not in sizes.values():
        sizes.setdefault("data", 1)
    config, count = Mesh(**sizes), jax.device_count()
    config.check("--mesh")
    mesh_shape(config, count, "--mesh")
    return make_mesh(config) if count > 1 else None


def _write(
    decoder, params, lines: list[str], config, batch_size: int, journal, first: int
) -> list[dict]:
    """Decodes what the journal has not; progress and tokens/s of a file on standard error.

    first: the number of the first line, from which samples are drawn.
    """
    from t2t.decoding.decode import decode_each
    from t2t.decoding.prompts import input_row

    done = journal.done if journal is not None else {}
    left = [i for i in range(len(lines)) if i not in done]
    encoded = decoder.tokenizer.encode([lines[i] for i in left])
    arch, vocabulary = decoder.model.arch, decoder.tokenizer.vocabulary
    made: dict[int, dict] = dict(done)
    begun, tokens = time.monotonic(), 0
    for results in decode_each(
        decoder,
        params,
        [input_row(arch, vocabulary, ids) for ids in encoded],
        config,
        batch_size=batch_size,
        numbers=[first + i for i in left],
    ):
        rows = []
        for place, outputs in results:
            index = left[place]
            tokens += sum(len(output.log_probabilities) for output in outputs)
            rows.append(
                {
                    "index": index,
                    "inputs": lines[index],
                    "outputs": [output._asdict() for output in outputs],
                }
            )
        if journal is not None:
            journal.add(rows)
        made.update((row["index"], row) for row in rows)
        rate = tokens / (time.monotonic() - begun)
        if len(lines) > 1:
            line = f"{len(made)}/{len(lines)} inputs  {rate:,.0f} tokens/s"
            print(line, file=sys.stderr, flush=True)
    return [made[i] for i in range(len(lines))]


def _decoding(options):
    """The search that the options ask for. Raises UserError where they ask for two."""
    from t2t.decoding.config import Beam, Greedy, Sample

    common = {"max_tokens": options.max_tokens, "prefix": options.prefix}
    common["stop"] = tuple(options.stop)

    def given(*names: str) -> dict:
        return {n: getattr(options, n) for n in names if getattr(options, n) is not None}

    of_beams = given("beams", "length_penalty", "n_best")
    of_samples = given("temperature", "top_k", "top_p", "samples", "seed")
    if of_beams and of_samples:
        one, other = (f"--{next(iter(g)).replace('_', '-')}" for g in (of_beams, of_samples))
        raise UserError(f"{one} and {other}: beam search or sampling, not both; leave one out")
    kind = Beam if of_beams else Sample if of_samples else Greedy
    config = kind(**common, **of_beams, **of_samples)
    config.check("generate")
    return config
