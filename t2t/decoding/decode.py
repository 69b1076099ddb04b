"""Decoding token rows of any lengths: batches of like lengths, few compiled shapes, input order."""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from t2t.data.tokenizers import Tokenizer
from t2t.decoding.autoregression import FREE, Stops, Written
from t2t.decoding.batches import batches, laid_out
from t2t.decoding.beam import beam
from t2t.decoding.config import Beam, Decoding, Greedy, Sample
from t2t.decoding.greedy import greedy
from t2t.decoding.one_ahead import one_ahead
from t2t.decoding.prompts import check_room, check_writes, padded_inputs
from t2t.decoding.sampling import sample
from t2t.decoding.stop_strings import automaton
from t2t.errors import UserError
from t2t.models.architecture import ENCODER_DECODER
from t2t.models.transformer import Model, Params
from t2t.parallel.sharding import replicated


class Decoder(NamedTuple):
    """A model ready to write: each program is compiled once a shape, for any parameters."""

    model: Model
    tokenizer: Tokenizer
    mesh: jax.sharding.Mesh | None  # None: the parameters' one device
    programs: dict[Any, Callable]  # made as they are needed

    def jitted(self, key: Hashable, program: Callable) -> Callable:
        """Returns the program of this key, jitted: what was given first. Each host is handed all that
        it returns."""
        if key not in self.programs:
            whole = None if self.mesh is None else replicated(self.mesh)
            self.programs[key] = jax.jit(program, out_shardings=whole)
        return self.programs[key]


class Output(NamedTuple):
    """One text that was written."""

    tokens: list[int]  # prefix included, end of sequence not
    text: str  # prefix included, stop string not
    score: float  # sum of `log_probabilities`
    log_probabilities: list[float]  # of every token after the prefix, the end of sequence included
    ended: str  # by "eos", "stop" (a stop string), or "length" (max_tokens)


def make_decoder(
    model: Model, tokenizer: Tokenizer, mesh: jax.sharding.Mesh | None = None
) -> Decoder:
    """Returns a decoder without any program yet.

    mesh: rows are split over its batch axes; parameters lie on it as `parallel.sharding` has them,
    and `model` was built with its constrainer. Of a decoder or an encoder alone rows past the
    vocabulary are no tokens: published tables were filled up with copies of their first, a word of
    GPT-2's. (T5's own tables are longer than its vocabulary, and count whole.)
    """
    size = tokenizer.vocabulary.size
    if model.arch.stacks != ENCODER_DECODER and size < model.arch.vocab_size:
        whole = model.logits

        def logits(params: Params, hidden: jax.Array) -> jax.Array:
            found = whole(params, hidden)
            return jnp.where(jnp.arange(found.shape[-1]) < size, found, -jnp.inf)

        model = model._replace(logits=logits)
    return Decoder(model, tokenizer, mesh, {})


def decode(
    decoder: Decoder,
    params: Params,
    rows: Sequence[np.ndarray],
    config: Decoding,
    *,
    batch_size: int = 32,
    prefixes: Sequence[str] | None = None,
    numbers: Sequence[int] | None = None,
) -> list[list[Output]]:
    """Writes for every input row (see `prompts.input_row`); results in input order.

    Of each row: one Output, or `n_best` or `samples` of them, best first where they are ranked.
    prefixes: one a row, instead of the configuration's. numbers: each row's number in the whole
    work, from which samples are drawn (default: its place in `rows`).
    Raises: UserError where a prefix or an input leaves no room for an output, or nothing can be
    written.
    """
    results: list[list[Output]] = [[]] * len(rows)
    for done in decode_each(
        decoder,
        params,
        rows,
        config,
        batch_size=batch_size,
        prefixes=prefixes,
        numbers=numbers,
    ):
        for index, outputs in done:
            results[index] = outputs
    return results


def decode_each(
    decoder: Decoder,
    params: Params,
    rows: Sequence[np.ndarray],
    config: Decoding,
    *,
    batch_size: int = 32,
    prefixes: Sequence[str] | None = None,
    numbers: Sequence[int] | None = None,
) -> Iterator[list[tuple[int, list[Output]]]]:
    """As `decode`, but yields each batch's [(row index, outputs)] as soon as it is there.

    Batches come longest first. One batch is in flight while the one before it is read.
    """
    arch = decoder.model.arch
    check_writes(arch)
    check_room(arch, rows, [config.max_tokens] * len(rows))
    check_beams(config, arch.vocab_size)
    prefixes = [config.prefix] * len(rows) if prefixes is None else list(prefixes)
    forced = _encoded_prefixes(decoder.tokenizer, prefixes, config)
    numbers = range(len(rows)) if numbers is None else numbers
    program = _program(decoder, config)
    table = _stop_table(decoder, config.stop)

    def started() -> Iterator[tuple[list[int], Written]]:
        for batch in batches([len(row) for row in rows], batch_size, decoder.mesh):
            arrays = {
                "encoder": padded_inputs(arch, [rows[i] for i in batch.filled], batch.length),
                "forced": _padded_prefixes([forced[i] for i in batch.filled]),
                "examples": np.array([numbers[i] for i in batch.filled], np.int32),
            }
            if table is not None:
                inside = [len(forced[i]) > 0 for i in batch.filled]
                arrays["stop"] = np.array(inside, np.int32)
            seed = np.uint32(config.seed if isinstance(config, Sample) else 0)
            yield batch.indices, program(params, laid_out(arrays, decoder.mesh), seed, table)

    for indices, written in one_ahead(started()):
        yield [
            (
                index,
                [
                    _output(decoder.tokenizer, t[:n], s[:n], len(forced[index]), config.stop)
                    for t, s, n in zip(*(x[i] for x in written), strict=True)
                ],
            )
            for i, index in enumerate(indices)
        ]


def check_beams(config: Decoding, vocab_size: int) -> None:
    """Raises UserError where a step of beam search has fewer continuations than it keeps: 2 a beam."""
    if isinstance(config, Beam) and 2 * config.beams > vocab_size:
        raise UserError(
            f"beams={config.beams}: the model has {vocab_size} tokens; at most {vocab_size // 2} beams"
        )


def _program(decoder: Decoder, config: Decoding) -> Callable:
    """Returns (params, arrays, seed, stop table) -> Written, jitted; one for all equal searches."""
    # What only changes arrays makes no other program.
    search = dataclasses.replace(config, prefix="", stop=())
    if isinstance(search, Sample):
        search = dataclasses.replace(search, seed=0)
    vocabulary = decoder.tokenizer.vocabulary

    def program(params, arrays, seed, table) -> Written:
        ends = {
            "forced": arrays["forced"],
            "stops": None if table is None else Stops(table, arrays["stop"]),
            "eos_id": vocabulary.eos_id,
            "start_id": vocabulary.pad_id,
        }
        common = (decoder.model, params, arrays["encoder"], search.max_tokens)
        match search:
            case Greedy():
                return greedy(*common, **ends)
            case Beam():
                return beam(*common, search, **ends)
            case Sample():
                return sample(*common, search, seed, arrays["examples"], **ends)

    return decoder.jitted(search, program)


def _stop_table(decoder: Decoder, stop: tuple[str, ...]) -> np.ndarray | None:
    if not stop:
        return None
    return automaton(decoder.tokenizer, stop, decoder.model.arch.vocab_size)


def _encoded_prefixes(
    tokenizer: Tokenizer, prefixes: list[str], config: Decoding
) -> list[np.ndarray]:
    encoded = dict(zip(set(prefixes), tokenizer.encode(list(set(prefixes))), strict=True))
    for text, ids in encoded.items():
        if len(ids) >= config.max_tokens:
            raise UserError(
                f"prefix {text!r}: its {len(ids)} tokens leave no room in max_tokens="
                f"{config.max_tokens}; allow more tokens"
            )
    return [encoded[text] for text in prefixes]


def _padded_prefixes(prefixes: list[np.ndarray]) -> np.ndarray:
    """[B, P] int32, FREE after each; P a multiple of 8, or 0 where there is none."""
    longest = -(-max(len(ids) for ids in prefixes) // 8) * 8
    result = np.full((len(prefixes), longest), FREE, np.int32)
    for to, ids in zip(result, prefixes, strict=True):
        to[: len(ids)] = ids
    return result


def _output(
    tokenizer: Tokenizer, tokens: np.ndarray, scores: np.ndarray, given: int, stop: tuple[str, ...]
) -> Output:
    """What is shown of the tokens and log-probabilities [T] that were written, `given` by a prefix."""
    ended_by_eos = len(tokens) > given and tokens[-1] == tokenizer.vocabulary.eos_id
    ended = "eos" if ended_by_eos else "length"
    kept = tokens[:-1] if ended_by_eos else tokens
    text = tokenizer.decode(kept, stop_at_eos=False)
    after = len(tokenizer.decode(tokens[:given], stop_at_eos=False))
    places = [place for place in (text.find(s, after) for s in stop) if place >= 0]
    if places:
        text, ended = text[: min(places)], "stop"
    log_probabilities = scores[given:].tolist()
    return Output(kept.tolist(), text, sum(log_probabilities), log_probabilities, ended)
