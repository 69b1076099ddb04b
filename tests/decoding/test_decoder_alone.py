"""A decoder alone goes on with prompts of mixed lengths: as one that reads everything anew each time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.data.subword_tokenizer import SubwordTokenizer, byte_bpe
from t2t.data.tokenizers import ByteTokenizer
from t2t.decoding.config import Beam, Greedy, Sample
from t2t.decoding.decode import decode, make_decoder
from t2t.decoding.prompts import input_row
from t2t.decoding.scoring import rank, score
from t2t.decoding.stop_strings import _byte_letters, automaton
from t2t.errors import UserError
from t2t.models.transformer import build
from t2t.parallel.mesh import make_mesh
from t2t.parallel.mesh_config import Mesh
from t2t.parallel.sharding import constrainer, shardings
from tests.decoding.random_model import random_params
from tests.decoding.test_beam import slow_beam
from tests.models.tiny_families import FAMILIES

LONGEST = 8
SHAPE = {"vocab_size": 384, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 24}


def architecture(name, **changes):
    """Of the families, and one with T5's biases and a band."""
    grouped = {"kv_heads": 1} if name == "llama" else {}
    if name == "biased":
        arch = dataclasses.replace(FAMILIES["llama"], relative_bias="shared", rotary_base=0.0)
        arch = dataclasses.replace(arch, window=4, window_every=3)
    else:
        arch = FAMILIES[name]
    return dataclasses.replace(arch, **{**SHAPE, "decoder_layers": 2, **grouped, **changes})


NAMES = ["gpt2-banded", "llama"]
NAMES += [pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2-by-layer", "biased")]
ROWS = [np.array([1, *range(60, 60 + n)], np.int32) for n in (3, 14, 1, 27, 0)]


@pytest.fixture(scope="module", params=NAMES)
def writer(request):
    """(decoder, parameters, slow function: tokens so far -> log-probabilities of the next)."""
    model = build(architecture(request.param))
    params = random_params(model, seed=1, noise=0.3)

    @jax.jit
    def all_logs(tokens):
        return jax.nn.log_softmax(model.logits(params, model.forward(params, tokens)[0]))

    def next_logs(tokens):
        # What stands behind a token changes nothing.
        row = np.zeros((1, 40), np.int32)
        row[0, : len(tokens)] = tokens
        return np.asarray(all_logs({"decoder": {"tokens": row}}))[0, len(tokens) - 1]

    return make_decoder(model, ByteTokenizer(125)), params, next_logs


def slow_greedy(next_logs, row, eos):
    written = []
    while len(written) < LONGEST and eos not in written:
        written.append(int(np.argmax(next_logs([*row, *written]))))
    return written


def with_end(decoder, eos, size=384):
    facts = dataclasses.replace(decoder.tokenizer.vocabulary, eos_id=eos, size=size)
    tokenizer = ByteTokenizer(125)
    tokenizer.vocabulary = facts
    return make_decoder(decoder.model, tokenizer)


def test_greedy_equals_reading_everything_anew(writer):
    decoder, params, next_logs = writer
    free = [slow_greedy(next_logs, row, eos=-1) for row in ROWS]
    end = int(np.bincount(np.ravel(free)[1:]).argmax())
    want = [slow_greedy(next_logs, row, end) for row in ROWS]
    assert any(end in tokens for tokens in want)
    got = decode(with_end(decoder, end), params, ROWS, Greedy(max_tokens=LONGEST), batch_size=8)
    for row, tokens, (output,) in zip(ROWS, want, got, strict=True):
        assert output.tokens == [t for t in tokens if t != end]
        assert (output.ended == "eos") == (end in tokens)
        logs = [next_logs([*row, *tokens[:i]])[t] for i, t in enumerate(tokens)]
        np.testing.assert_allclose(output.log_probabilities, logs, rtol=1e-3, atol=1e-4)
    alone = [
        decode(decoder, params, [r], Greedy(max_tokens=LONGEST))[0][0].tokens for r in ROWS[:2]
    ]
    together = decode(decoder, params, ROWS, Greedy(max_tokens=LONGEST), batch_size=8)
    assert alone == [one.tokens for (one,) in together[:2]]


def test_beams_equal_the_slow_search(writer):
    decoder, params, next_logs = writer
    free = [slow_greedy(next_logs, row, eos=-1) for row in ROWS]
    eos = int(np.bincount(np.ravel(free)[1:]).argmax())
    config = Beam(max_tokens=LONGEST, beams=3, n_best=3)
    got = decode(with_end(decoder, eos), params, ROWS, config, batch_size=8)
    for number in (0, 1, 4):

        def of_row(_row, tokens, number=number):
            return next_logs([*ROWS[number], *tokens])

        want = slow_beam(of_row, number, 3, 0.6, eos)
        assert [tuple(o.tokens) for o in got[number]] == [
            tuple(t for t in tokens if t != eos) for tokens in want
        ]


def test_scores_and_ranks_are_those_of_one_forward_pass(writer):
    decoder, params, next_logs = writer
    rng = np.random.default_rng(2)
    choices = [[rng.integers(2, 300, n).astype(np.int32) for n in (3, 1, 5)] for _ in ROWS]
    ranked = rank(decoder, params, ROWS, choices, batch_size=6)
    for row, of, found in zip(ROWS, choices, ranked, strict=True):
        want = [sum(next_logs([*row, *c[:i]])[t] for i, t in enumerate(c)) for c in of]
        np.testing.assert_allclose(found.scores, want, rtol=1e-5, atol=1e-5)
        assert found.best == int(np.argmax(want))
    firsts = [of[0] for of in choices]
    for row, target, found in zip(ROWS, firsts, score(decoder, params, ROWS, firsts), strict=True):
        want = [next_logs([*row, *target[:i]])[t] for i, t in enumerate(target)]
        np.testing.assert_allclose(found.log_probabilities, want, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_same_on_a_mesh_sampled_too():
    model = build(architecture("gpt2-banded"))
    params = random_params(model, seed=3, noise=0.3)
    alone = make_decoder(model, ByteTokenizer(125))
    mesh = make_mesh(Mesh(data=2, fsdp=2, tensor=2))
    model = build(architecture("gpt2-banded"), constrain=constrainer(mesh))
    placed = jax.device_put(params, shardings(model.axes, model.shapes, mesh, model.units))
    spread = make_decoder(model, ByteTokenizer(125), mesh)
    way = Sample(max_tokens=LONGEST, samples=2, top_k=20, prefix="a!")
    want = decode(alone, params, ROWS, way, batch_size=2)
    for a, b in zip(want, decode(spread, placed, ROWS, way, batch_size=8), strict=True):
        assert [o.tokens for o in a] == [o.tokens for o in b]
        assert all(o.text.startswith("a!") for o in a)


def test_what_has_no_position_is_refused():
    decoder = make_decoder(build(architecture("gpt2-banded")), ByteTokenizer(125))
    row = np.ones(60, np.int32)
    with pytest.raises(UserError, match=r"input 1: its 60 tokens and an output of 6 are more than"):
        decode(decoder, {}, [ROWS[0], row], Greedy(max_tokens=6))
    with pytest.raises(UserError, match="the model's 64 positions"):
        score(decoder, {}, [row], [np.ones(6, np.int32)])
    encoder = make_decoder(build(FAMILIES["bert"]), ByteTokenizer(125))
    with pytest.raises(UserError, match="an encoder alone, which writes no text"):
        decode(encoder, {}, ROWS, Greedy())


def test_stop_strings_are_found_in_byte_level_pieces(tmp_path):
    letters = sorted(_byte_letters())
    ids = {piece: i for i, piece in enumerate([*letters, "\u0120b", "<|endoftext|>"])}
    path = tmp_path / "tokenizer.json"
    path.write_text(byte_bpe(ids, [("\u0120", "b")], ["<|endoftext|>"]).to_str())
    tokenizer = SubwordTokenizer(str(path))
    stop = ("a b", "\n", "é")
    table = automaton(tokenizer, stop, 384)
    for text in ("xa bc", "a\tb", "x\n", "è b", "caf é", "ab b"):
        state = 0
        for token in tokenizer.encode([text])[0]:
            state = table[state, token]
        assert (state == len(table) - 1) == any(s in text for s in stop), text


def test_a_row_begins_with_what_stands_before_every_text():
    facts = dataclasses.replace(ByteTokenizer(125).vocabulary, bos_id=7)
    got = [input_row(FAMILIES[n], facts, np.array([9, 8])) for n in ("llama", "switch", "bert")]
    assert [row.tolist() for row in got] == [[7, 9, 8], [9, 8, 1], [9, 8]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["GPT2LMHeadModel", "LlamaForCausalLM"])
def test_transformers_writes_the_same(kind, tmp_path):
    torch = pytest.importorskip("torch")
    cls = getattr(pytest.importorskip("transformers"), kind)
    from t2t.interop import huggingface
    from t2t.interop.published import parameters
    from tests.interop.test_family_parity import GPT2, LLAMA

    sizes = {**LLAMA, "num_key_value_heads": 2} if "Llama" in kind else GPT2
    torch.manual_seed(0)
    theirs = cls(cls.config_class(**{**sizes, "eos_token_id": None, "bos_token_id": None})).eval()
    with torch.no_grad():
        for one in theirs.parameters():
            one.mul_(2).add_(torch.randn_like(one) * 0.1)
    theirs.save_pretrained(tmp_path)
    found = huggingface.open_directory(str(tmp_path))
    model = build(found.arch)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    params = parameters(
        found.leaves,
        jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, jnp.float32, sharding=place), model.shapes
        ),
    )
    decoder = with_end(make_decoder(model, ByteTokenizer(125)), 999, size=100)
    # Tokens are compared; not all of this stand-in's ids are bytes.
    decoder.tokenizer.decode = lambda ids, stop_at_eos=True: ""
    rows = [row % 97 + 3 for row in ROWS]
    width = max(map(len, rows))
    tokens = np.stack([np.pad(row, (width - len(row), 0)) for row in rows])
    there = np.stack([np.pad(np.ones_like(row), (width - len(row), 0)) for row in rows])
    theirs.generation_config.pad_token_id = 0

    def written(**search):
        return theirs.generate(
            input_ids=torch.tensor(tokens).long(),
            attention_mask=torch.tensor(there),
            max_new_tokens=20,
            do_sample=False,
            **search,
        ).numpy()[:, width:]

    got = decode(decoder, params, rows, Greedy(max_tokens=20))
    np.testing.assert_array_equal([one.tokens for (one,) in got], written())
    got = decode(decoder, params, rows, Beam(max_tokens=20, beams=4, n_best=4))
    want = written(num_beams=4, num_return_sequences=4)
    np.testing.assert_array_equal([one.tokens for some in got for one in some], want)
