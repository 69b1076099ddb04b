"""What `t2t generate` says of JSON lines that hold no input."""

import pytest

from t2t.commands.input_lines import read_inputs
from t2t.errors import UserError


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object but a list"),
        ('{"input": "a"}', "no field 'inputs' .did you mean 'input'"),
        ('{"inputs": 1}', "field 'inputs' is not a string but a number"),
        ('{"inputs": "a\\ud800b"}', "field 'inputs' holds half of a surrogate pair"),
    ],
)
def test_a_line_without_an_input_is_named(tmp_path, line, said):
    path = tmp_path / "in.jsonl"
    path.write_text('{"inputs": "fine"}\n' + line + "\n")
    with pytest.raises(UserError, match=rf"in\.jsonl:2: {said}") as told:
        read_inputs(str(path), None)
    assert "--field=inputs" in str(told.value)
