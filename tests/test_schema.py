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
