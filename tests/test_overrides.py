import pytest

from t2t import schema
from t2t.errors import UserError
from t2t.overrides import override
from tests.test_schema import Cat, Dog, House


@pytest.mark.parametrize(
    "path, text, value",
    [
        ("floors", "3", 3),
        ("floors", "1e3", 1000),
        ("price", "2", 2.0),
        ("price", "1e-4", 1e-4),
        ("garden", "true", True),
        ("garden", "0", False),
        ("style", "ornate", "ornate"),
        ("owner", "none", None),
        ("owner", "Ann", "Ann"),
        ("size", "(5,6)", (5, 6)),
        ("size", "5,6", (5, 6)),
        ("pet.lives", "7", 7),
        ("rooms[1].lives", "5", 5),
    ],
)
def test_override_reads_text_as_the_fields_type(path, text, value):
    house = override(House(), path, text)
    found = {p: v for p, v in schema.leaves(house, "h").items()}[f"h.{path}"]
    assert found == value and type(found) is type(value)


def test_override_leaves_everything_else_alone():
    house = override(House(), "rooms[0].lives", "8")
    assert schema.difference(House(), house) == {"config.rooms[0].lives": (1, 8)}


def test_override_chooses_a_variant_by_name():
    assert override(House(pet=Dog("Rex")), "pet", "Cat").pet == Cat()
    with pytest.raises(UserError, match="Dog has no default for name"):
        override(House(), "pet", "Dog")


@pytest.mark.parametrize(
    "path, text, message",
    [
        ("flors", "3", r"config\.flors: no such field in House \(did you mean 'floors'\?\)"),
        ("pet.live", "3", r"config\.pet\.live: .*'lives'"),
        ("floors", "2.5", r"config\.floors: expected an integer, got '2.5'"),
        ("floors", "many", r"config\.floors: expected an integer"),
        ("price", "nan", r"config\.price: must be a finite number"),
        ("price", "cheap", r"config\.price: expected a number"),
        ("garden", "maybe", r"config\.garden: expected true or false"),
        ("style", "ornat", r"config\.style: .*did you mean 'ornate'"),
        ("size", "(1,2,3)", r"config\.size: expected 2 elements, got 3"),
        ("size", "(1,'x')", r"config\.size\[1\]: expected an integer"),
        ("rooms[2].lives", "1", r"config\.rooms: has elements 0 to 1"),
        ("pet", "Cot", r"config\.pet: .*did you mean 'Cat'"),
        ("floors.x", "1", r"config\.floors: is 2 and has no field 'x'"),
        ("a b", "1", r"config\.a b: not a field path"),
    ],
)
def test_bad_overrides_name_the_field_in_one_line(path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        override(House(), path, text)
    assert "\n" not in str(caught.value)
