"""Reading compiled HLO text: its computations, loops with their trip counts, and collectives.

A collective stands in the text once but may run many times (in a loop), and may stand there twice
(an asynchronous pair, or a copy inside a fusion): each is counted by its channel, and multiplied
by the trips of the loops around it.
"""

import collections
import itertools
import math
import re
from typing import NamedTuple

import numpy as np

_BYTES = {
    **{"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8},
    **{"bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16},
    **{"f8e4m3fn": 1, "f8e5m2": 1},
}
_KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
    "send",
)
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*)$")


class Instruction(NamedTuple):
    name: str
    type: str  # of the result
    opcode: str
    rest: str  # operands and attributes


class Collective(NamedTuple):
    """One collective of a program. size: bytes of its (whole) result on a device, once."""

    kind: str
    size: int
    groups: tuple[tuple[int, ...], ...]  # of logical device numbers; () is all of them
    times: int  # a step
    overlapped: bool
    operation: str  # what it came from, as JAX names it

    def wire_bytes(self, devices: int) -> float:
        """Bytes that one device sends a time, by the ring algorithms."""
        n = len(self.groups[0]) if self.groups else devices
        if self.kind in ("collective-permute", "send", "collective-broadcast"):
            return self.size
        if self.kind == "all-reduce":
            return 2 * self.size * (n - 1) / n
        if self.kind == "reduce-scatter":  # the result is one of n parts
            return self.size * (n - 1)
        return self.size * (n - 1) / n


def computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """Returns (instructions by computation, the name of the entry)."""
    found: dict[str, list[Instruction]] = {}
    current, entry = None, ""
    for line in text.splitlines():
        if current is None:
            begins = _COMPUTATION.match(line)
            if begins:
                current = found.setdefault(begins[2], [])
                entry = begins[2] if begins[1] else entry
        elif line.startswith("}"):
            current = None
        elif parts := _INSTRUCTION.match(line):
            current.append(_instruction(parts[1], parts[2]))
    return found, entry


def _instruction(name: str, text: str) -> Instruction:
    end = _closing(text) + 1 if text.startswith("(") else text.find(" ")
    kind, rest = text[:end], text[end:].lstrip()
    opcode = re.match(r"[\w\-]+", rest)
    return Instruction(name, kind, opcode[0] if opcode else "", rest)


def _closing(text: str) -> int:
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return i
    return len(text) - 1


def type_bytes(text: str) -> int:
    """Bytes of an array type, or of all arrays of a tuple type."""
    sizes = re.findall(r"(\w+)\[([\d,]*)\]", text)
    return sum(
        _BYTES.get(kind, 0) * math.prod(int(d) for d in dims.split(",") if d)
        for kind, dims in sizes
    )


def trips(loop: Instruction, found: dict[str, list[Instruction]]) -> int:
    """How often a while loop runs; 1 where the program does not say."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.rest)
    if known:
        return int(known[1])
    condition = re.search(r"condition=%?([\w.\-]+)", loop.rest)
    for instruction in found.get(condition[1], []) if condition else []:
        bound = re.match(r"constant\((\d+)\)", instruction.rest)
        if bound and instruction.type.startswith(("s32[]", "u32[]", "s64[]")):
            return int(bound[1])
    return 1


def collectives(text: str) -> list[Collective]:
    """Every collective of a compiled program, each once."""
    found, entry = computations(text)
    seen: dict[tuple[str, str], Collective] = {}

    def visit(name: str, times: int, around: str) -> None:
        for instruction in found.get(name, ()):
            opcode = instruction.opcode
            if opcode == "while":
                body = re.search(r"body=%?([\w.\-]+)", instruction.rest)
                visit(body[1], times * trips(instruction, found), around)
                continue
            kind = opcode.removesuffix("-start")
            if kind in _KINDS:
                channel = re.search(r"channel_id=(\d+)", instruction.rest)
                key = (kind, channel[1] if channel else instruction.name)
                made = _collective(instruction, kind, times, around)
                before = seen.get(key)
                overlapped = made.overlapped or (before is not None and before.overlapped)
                seen[key] = (before or made)._replace(overlapped=overlapped)
            for inner in _called(instruction.rest):
                visit(inner, times, f"{around} {inner} {opcode}")

    visit(entry, 1, "")
    return list(seen.values())


def _called(rest: str) -> list[str]:
    called = re.findall(r"(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)", rest)
    branches = re.search(r"branch_computations=\{([^}]*)\}", rest)
    if branches:
        called += re.findall(r"[\w.\-]+", branches[1])
    return called


def _collective(instruction: Instruction, kind: str, times: int, around: str) -> Collective:
    size = type_bytes(instruction.type)
    asynchronous = instruction.opcode.endswith("-start") or kind == "send"
    parts = _top_level(instruction.type)
    if kind == "send":
        size = type_bytes(parts[0])
    elif asynchronous and kind != "all-reduce" and len(parts) > 1:
        size = type_bytes(parts[1])  # (operands, results, ...); an all-reduce-start has its results
    groups = replica_groups(instruction.rest)
    if kind == "all-reduce" and "all-reduce-scatter" in around:  # a fused reduce-scatter
        kind, size = "reduce-scatter", size // max(len(groups[0]) if groups else 1, 1)
    operation = re.search(r'op_name="([^"]*)"', instruction.rest)
    overlapped = asynchronous or "async" in around
    return Collective(kind, size, groups, times, overlapped, operation[1] if operation else "")


def _top_level(text: str) -> list[str]:
    """The members of a tuple type."""
    if not text.startswith("("):
        return [text]
    members, depth, begin = [], 0, 1
    for i, character in enumerate(text):
        depth += character in "({["
        depth -= character in ")}]"
        if (character == "," and depth == 1) or (depth == 0 and i):
            members.append(text[begin:i].strip())
            begin = i + 1
    return members


def replica_groups(rest: str) -> tuple[tuple[int, ...], ...]:
    """The groups of a collective; () where it names none, which is all devices.

    Forms: `{{0,1},{2,3}}`, `[2,4]<=[4,2]T(1,0)`, `mesh['a'=4,'b'=2] {'a'}`, source-target pairs.
    """
    listed = re.search(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{} ]*\})\}", rest)
    if listed:
        groups = re.findall(r"\{([\d,]+)\}", listed[1])
        return tuple(tuple(map(int, group.split(","))) for group in groups)
    iota = re.search(r"replica_groups=\[([\d,]+)\]<=" + _IOTA, rest)
    if iota:
        numbers = _numbers(iota[2], iota[3]).reshape(int(iota[1].split(",")[0]), -1)
        return tuple(map(tuple, numbers.tolist()))
    named = re.search(r"replica_groups=mesh\[([^\]]*)\]", rest)
    return _mesh_groups(named[1], rest[named.end() :]) if named else ()


_IOTA = r"\[([\d,]+)\](?:T\(([\d,]+)\))?"


def _numbers(dims: str, order: str | None) -> np.ndarray:
    """`[4,2]T(1,0)`: device numbers in rows of 4 and 2, transposed."""
    sizes = [int(d) for d in dims.split(",")]
    numbers = np.arange(math.prod(sizes)).reshape(sizes)
    return numbers.transpose([int(d) for d in order.split(",")]) if order else numbers


def _mesh_groups(axes: str, rest: str) -> tuple[tuple[int, ...], ...]:
    """Groups over some of a mesh's axes, `{'a'}`, or over parts of them, `{'a':(2)4}`: the 4 that
    lie inside an outer 2."""
    sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", axes)}
    order = re.match(r", device_ids=\(" + _IOTA + r"\)", rest)
    numbers = _numbers(order[1], order[2]) if order else np.arange(math.prod(sizes.values()))
    over = re.search(r"\{([^}]*)\}", rest)
    taken = {
        name: (int(outer or 1), int(size or sizes[name]))
        for name, outer, size in re.findall(r"'([^']+)'(?::\((\d+)\)(\d+))?", over[1])
    }
    shape, reduced = [], []
    for name, size in sizes.items():
        outer, part = taken.get(name, (1, 1))
        reduced.append(len(shape) + 1)
        shape += [outer, part, size // outer // part]
    numbers = np.moveaxis(numbers.reshape(shape), reduced, range(-len(reduced), 0))
    group = math.prod(part for _, part in taken.values())
    return tuple(map(tuple, numbers.reshape(-1, group).tolist()))


def beside(groups: tuple[tuple[int, ...], ...], places: list[int]) -> int:
    """How many of a group that reaches over several places (slices, hosts) stand on one, at least; 0
    where no group does. places: of every logical device."""
    counts = (
        collections.Counter(places[one] for one in group)
        for group in groups or (range(len(places)),)
    )
    return min((min(at.values()) for at in counts if len(at) > 1), default=0)


def axes_of(groups: tuple[tuple[int, ...], ...], mesh: dict[str, int]) -> tuple[str, ...]:
    """The mesh axes over which a collective's groups reach. groups: logical device numbers."""
    if not groups:
        return tuple(axis for axis, size in mesh.items() if size > 1)
    where = np.array([np.unravel_index(group, tuple(mesh.values())) for group in groups])
    reached = (where != where[:, :, :1]).any(axis=(0, 2))
    return tuple(itertools.compress(mesh, reached.tolist()))
