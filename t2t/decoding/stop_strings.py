"""Stop strings as an automaton over tokens, so that a compiled loop ends where one is written.

A stop string may begin inside one token and end inside another, and a text has many tokenizations:
Aho and Corasick's automaton (1975) reads bytes, and the table says where each token's bytes lead.
"""

import re
from collections import deque

import numpy as np

from t2t.data.tokenizers import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"  # SentencePiece's sign for a space


def automaton(tokenizer: Tokenizer, stop: tuple[str, ...], vocabulary: int) -> np.ndarray:
    """Returns the table [states, vocabulary] int32: the state after a token.

    State 0 is the start of a text (SentencePiece shows no space there), 1 is inside a text with
    nothing matched, the last is reached when a stop string is complete and never left.
    """
    transitions = _transitions([text.encode() for text in stop])
    spelled = _spelled(tokenizer, vocabulary)
    stripped = [
        text[1:] if (piece or "").startswith(_SPACE) else text
        for text, piece in zip(spelled, _pieces(tokenizer, vocabulary), strict=True)
    ]
    states = np.arange(len(transitions))
    inside = np.stack([_follow(transitions, state, spelled) for state in states])
    start = _follow(transitions, 0, stripped)
    return np.concatenate([start[None], inside]) + 1


def _transitions(patterns: list[bytes]) -> np.ndarray:
    """[states, 256]: the state after a byte; 0 matches nothing, the last is the complete match."""
    children: list[dict[int, int]] = [{}]
    complete = set()
    for pattern in patterns:
        node = 0
        for byte in pattern:
            if byte not in children[node]:
                children[node][byte] = len(children)
                children.append({})
            node = children[node][byte]
        complete.add(node)
    table = np.zeros((len(children), 256), np.int32)
    fallback = [0] * len(children)  # the longest proper suffix that is also a beginning
    queue = deque([0])
    while queue:  # breadth first: a node's fallback is shallower, so it is ready
        node = queue.popleft()
        if fallback[node] in complete:
            complete.add(node)
        table[node] = table[fallback[node]] if node else 0
        for byte, child in children[node].items():
            fallback[child] = int(table[fallback[node], byte]) if node else 0
            table[node, byte] = child
            queue.append(child)
    last = len(table)
    table = np.where(np.isin(table, list(complete)), last, table)
    return np.concatenate([table, np.full((1, 256), last, np.int32)])


def _follow(transitions: np.ndarray, state: int, spelled: list[bytes]) -> np.ndarray:
    """The state that each token's bytes lead to."""
    longest = max(len(text) for text in spelled)
    text = np.zeros((len(spelled), longest), np.uint8)
    for to, of in zip(text, spelled, strict=True):
        to[: len(of)] = np.frombuffer(of, np.uint8)
    lengths = np.array([len(of) for of in spelled])
    states = np.full(len(spelled), state, np.int32)
    for i in range(longest):
        states = np.where(i < lengths, transitions[states, text[:, i]], states)
    return states


def _pieces(tokenizer: Tokenizer, vocabulary: int) -> list[str]:
    return tokenizer.pieces(range(vocabulary))


def _spelled(tokenizer: Tokenizer, vocabulary: int) -> list[bytes]:
    """The bytes that each token adds to a text; none for padding and the end of sequence."""
    facts = tokenizer.vocabulary
    unknown = tokenizer.decode([facts.unk_id]).encode()
    result, pieces = [], _pieces(tokenizer, vocabulary)
    # Byte-level BPE writes every byte as a letter, a space as this one.
    in_bytes = any(piece.startswith("\u0120") for piece in pieces[: facts.size])
    letters = _byte_letters() if in_bytes else {}
    for index, piece in enumerate(pieces):
        if index in (facts.pad_id, facts.eos_id):
            result.append(b"")
            continue
        if index == facts.unk_id or index >= facts.size:
            result.append(unknown)
            continue
        byte = _BYTE.fullmatch(piece)
        if byte:
            result.append(bytes([int(byte.group(1), 16)]))
        elif letters and all(letter in letters for letter in piece):
            result.append(bytes(letters[letter] for letter in piece))
        else:
            result.append(piece.replace(_SPACE, " ").encode())
    return result


def _byte_letters() -> dict[str, int]:
    """GPT-2's alphabet of bytes: printable Latin-1 letters are themselves, the others follow 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }
