"""A config.json with values of any type, in any place: one line, or a model; never a traceback."""

import json

import pytest

from t2t.cli import main
from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.config_types import TYPES
from t2t.interop.families import FAMILIES
from tests.interop.tiny_directories import MODELS, write

# Keys of which a reader only asks whether they are the one value that t2t computes, or refuses itself.
COMPARED = {"pretraining_tp", "clamp_len"}
ODD = ("x", "1e-12", {"a": 1}, [1], [], True, None, -1, 0, 1.5, 10**9, 10**40, float("nan"))

QUICK = "gpt2", "llama", "bert"


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    made = {}
    for name, (family, arch) in MODELS.items():
        made[name] = tmp_path_factory.mktemp("hf")
        write(made[name], family, arch)
    return made


class Asked(dict):
    """A config that remembers which keys it has been asked for."""

    def __init__(self, content: dict, keys: set[str]):
        super().__init__(
            {k: Asked(v, keys) if isinstance(v, dict) else v for k, v in content.items()}
        )
        self.keys_asked = keys

    def get(self, key, default=None):
        self.keys_asked.add(key)
        return super().get(key, default)


@pytest.mark.parametrize("name", MODELS)
def test_every_key_that_is_read_has_a_type(name, directories):
    family, arch = MODELS[name]
    asked: set[str] = set()
    config = json.loads((directories[name] / "config.json").read_text())
    tensors = huggingface._open_weights(str(directories[name]), False)
    FAMILIES[family].architecture(Asked(config, asked), tensors, "config.json")
    assert asked and asked - set(TYPES) <= COMPARED


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]
)
def test_any_value_is_read_or_refused_in_one_line(name, directories):
    path = directories[name] / "config.json"
    whole = json.loads(path.read_text())
    parts = [(), *((key,) for key, value in whole.items() if key in TYPES and type(value) is dict)]
    read = refused = 0
    try:
        for part in parts:
            for key in (whole[part[0]] if part else whole).keys() & TYPES.keys():
                for value in ODD:
                    changed = json.loads(json.dumps(whole))
                    (changed[part[0]] if part else changed)[key] = value
                    path.write_text(json.dumps(changed))
                    try:
                        huggingface.open_directory(str(directories[name]))
                        read += 1
                    except UserError as error:
                        assert "\n" not in str(error)
                        refused += 1
    finally:
        path.write_text(json.dumps(whole))
    assert refused > 5 * read > 0


@pytest.mark.parametrize(
    "name, change, said",
    [
        ("bert", {"layer_norm_eps": "1e-12"}, "layer_norm_eps is '1e-12', not a positive number"),
        ("bert", {"type_vocab_size": None}, "type_vocab_size is None, not a positive integer"),
        ("bert", {"hidden_dropout_prob": "a"}, "hidden_dropout_prob is 'a', not a number from 0"),
        ("bert", {"hidden_act": {"a": 1}}, "hidden_act is {'a': 1}, not a text"),
        ("bert", {"vocab_size": True}, "vocab_size is True, not a positive integer"),
        ("bert", {"pad_token_id": "x"}, "pad_token_id is 'x', not an id, or a list of ids"),
        ("bert", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, and its files"),
        ("albert", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, and its files"),
        ("roberta", {"pad_token_id": -1}, "pad_token_id is -1, before which no position is"),
        ("gpt2", {"n_inner": "x"}, "n_inner is 'x', not a positive integer"),
        ("gpt2", {"layer_norm_epsilon": None}, "layer_norm_epsilon is None, not a positive number"),
        ("llama", {"num_key_value_heads": "2"}, "num_key_value_heads is '2', not a positive"),
        ("llama", {"rope_parameters": 7}, "rope_parameters is 7, not an object"),
        ("llama", {"rope_parameters": {"rope_theta": "x"}}, "rope_parameters.rope_theta is 'x'"),
        ("llama", {"rope_theta": "x"}, "rope_theta is 'x', not a positive number"),
        ("t5", {"dropout_rate": "x"}, "dropout_rate is 'x', not a number from 0 to under 1"),
        ("t5", {"layer_norm_epsilon": "x"}, "layer_norm_epsilon is 'x', not a positive number"),
    ],
)
def test_the_key_and_its_value_are_named(name, change, said, directories, tmp_path, capsys):
    for file in directories[name].iterdir():
        (tmp_path / file.name).symlink_to(file)
    config = json.loads((tmp_path / "config.json").read_text()) | change
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["convert", str(tmp_path), str(tmp_path / "to"), "--to=t2t"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"t2t: {tmp_path}/config.json: {said}") and line.count("\n") == 1
    assert not list(tmp_path.glob("to*"))
