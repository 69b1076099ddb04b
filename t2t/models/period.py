"""Layers of different kinds that come again: a period of a stack, applied as one layer is."""

from typing import NamedTuple

import jax
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.attention import AttentionFunction
from t2t.models.block import Block, LayerCache, Surroundings
from t2t.models.dropout import split_key
from t2t.models.parameters import Constrain, Declare, Spread


class PeriodCache(NamedTuple):
    """What the layers of a period keep between steps."""

    slots: tuple[LayerCache, ...]  # without parameters
    parameters: nnx.State  # of all slots

    @property
    def longest(self) -> int:
        """How many positions there is room for."""
        return self.slots[0].longest


class Period(nnx.Module):
    """`slot_0`, `slot_1`, ...: blocks, of which the second has experts (the first of one)."""

    def __init__(
        self,
        arch: Architecture,
        declare: Declare,
        decoder: bool,
        constrain: Constrain,
        attention: AttentionFunction,
        spread: Spread,
        cross: bool,
    ):
        self.count = arch.expert_every
        for i in range(self.count):
            sparse = i == min(1, self.count - 1)
            block = Block(arch, declare, decoder, constrain, attention, spread, cross, sparse)
            setattr(self, f"slot_{i}", block)

    def _slots(self) -> list[Block]:
        return [getattr(self, f"slot_{i}") for i in range(self.count)]

    def __call__(
        self,
        x: jax.Array,
        around: Surroundings,
        cache: PeriodCache | None = None,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, PeriodCache | None, dict]:
        """x [B, T, E] -> (x, cache with this call's keys added, aux by slot)."""
        caches = [None] * self.count if cache is None else list(cache.slots)
        keys, aux = split_key(dropout_key, self.count), {}
        for i, slot in enumerate(self._slots()):
            x, caches[i], said = slot(x, around, caches[i], keys[i])
            if said:
                aux[f"slot_{i}"] = said
        return x, None if cache is None else cache._replace(slots=tuple(caches)), aux

    def start_cache(
        self, encoded: jax.Array, empty: jax.Array, parameters: nnx.State
    ) -> PeriodCache:
        """As a block's, of every slot."""
        slots = tuple(slot.start_cache(encoded, empty, None) for slot in self._slots())
        return PeriodCache(slots, parameters)
