import dataclasses
from typing import Literal

import pytest

from t2t import schema
from t2t.errors import UserError


@dataclasses.dataclass(frozen=True)
class Cat:
    lives: int = 9


@dataclasses.dataclass(frozen=True)
class Dog:
    name: str
    tricks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class House:
    pet: Cat | Dog = Cat()
    rooms: tuple[Cat, ...] = (Cat(1), Cat(2))
    size: tuple[int, int] = (3, 4)
    price: float = 1.0
    garden: bool = False
    style: Literal["plain", "ornate"] = "plain"
    owner: str | None = None
    floors: int = 2


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
    house = schema.override(House(), path, text)
    found = {p: v for p, v in schema.leaves(house, "h").items()}[f"h.{path}"]
    assert found == value and type(found) is type(value)


def test_override_leaves_everything_else_alone():
    house = schema.override(House(), "rooms[0].lives", "8")
    assert schema.difference(House(), house) == {"config.rooms[0].lives": (1, 8)}


def test_override_chooses_a_variant_by_name():
    assert schema.override(House(pet=Dog("Rex")), "pet", "Cat").pet == Cat()
    with pytest.raises(UserError, match="Dog has no default for name"):
        schema.override(House(), "pet", "Dog")


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
        schema.override(House(), path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "house, where",
    [
        (House(floors=2.0), "c.floors"),
        (House(floors=True), "c.floors"),
        (House(price=float("inf")), "c.price"),
        (House(size=(1, 2.5)), r"c.size\[1\]"),
        (House(size=[1, 2]), "c.size"),
        (House(rooms=(Cat("x"),)), r"c.rooms\[0\].lives"),
        (House(pet=None), "c.pet"),
        (House(style="plane"), "c.style.*'plain'"),
    ],
)
def test_check_types_looks_at_every_element(house, where):
    with pytest.raises(UserError, match=f"^{where}"):
        schema.check_types(house, House, "c")


def test_json_round_trip_names_variants():
    house = House(pet=Dog("Rex", ("sit",)), owner="Ann", rooms=(Cat(3),))
    data = schema.to_json(house, House)
    assert data["pet"] == {"class": "Dog", "name": "Rex", "tricks": ["sit"]}
    assert schema.from_json(data, House, "config") == house


@pytest.mark.parametrize(
    "change, message",
    [
        ({"flors": 1}, "config.flors: no such field.*floors"),
        ({"pet": {"class": "Cow"}}, "config.pet: unknown variant 'Cow'"),
        ({"pet": {"class": "Dog"}}, "config.pet: .*name"),
        ({"size": [1]}, "config.size: expected 2 elements"),
        ({"floors": "x"}, "config.floors: expected an integer"),
        ({"floors": [1]}, "config.floors: expected an integer"),
    ],
)
def test_from_json_refuses_what_does_not_fit(change, message):
    with pytest.raises(UserError, match=message):
        schema.from_json({**schema.to_json(House()), **change}, House, "config")
