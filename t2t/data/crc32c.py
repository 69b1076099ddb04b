"""CRC-32C of many byte strings at once in NumPy, and TFRecord's masked form of it.

A CRC is linear over GF(2): with a zero start value, zeros in front change nothing, and the CRC of
A + B is that of A moved over len(B) zero bytes, XOR that of B. So every string is laid into blocks
of 64 bytes filled with zeros in front, all blocks of all strings go through the byte table
together, and neighbouring blocks are then merged pair by pair. The usual start value of all ones is
the same as inverting a string's first four bytes.
"""

import functools
from collections.abc import Sequence

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
_BLOCK = 64


@functools.cache
def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


@functools.cache
def _move_tables(level: int) -> np.ndarray:
    """uint32 [4, 256]: byte i of a CRC -> its part of the CRC after _BLOCK * 2**level zeros."""
    if level == 0:
        unit = np.arange(256, dtype=np.uint32)
        tables = np.stack([unit << np.uint32(8 * i) for i in range(4)])
        for _ in range(_BLOCK):
            tables = _byte_table()[tables & 0xFF] ^ (tables >> 8)
        return tables
    return _move(_move_tables(level - 1), level - 1)


def _move(crc: np.ndarray, level: int) -> np.ndarray:
    tables = _move_tables(level)
    return (
        tables[0][crc & 0xFF]
        ^ tables[1][(crc >> 8) & 0xFF]
        ^ tables[2][(crc >> 16) & 0xFF]
        ^ tables[3][crc >> 24]
    )


def crc32c(strings: Sequence[bytes]) -> np.ndarray:
    """The CRC-32C (RFC 3720) of each string: uint32 [N]."""
    result = np.zeros(len(strings), np.uint32)
    levels: dict[int, list[int]] = {}
    for i, string in enumerate(strings):
        if len(string) < 4:
            result[i] = _short(string)
        else:
            blocks = -(-len(string) // _BLOCK)
            levels.setdefault((blocks - 1).bit_length(), []).append(i)
    for level, members in levels.items():
        width = _BLOCK << level
        data = np.zeros([len(members), width], np.uint8)
        for row, i in zip(data, members, strict=True):
            string = np.frombuffer(strings[i], np.uint8)
            row[width - len(string) :] = string
            row[width - len(string) : width - len(string) + 4] ^= 0xFF
        columns = np.ascontiguousarray(data.reshape(-1, _BLOCK).T)
        crc = np.zeros(columns.shape[1], np.uint32)
        table = _byte_table()
        for column in columns:
            crc = table[(crc ^ column) & 0xFF] ^ (crc >> 8)
        for merged in range(level):
            crc = _move(crc[0::2], merged) ^ crc[1::2]
        result[members] = ~crc
    return result


def _short(string: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in string:
        crc = int(_byte_table()[(crc ^ byte) & 0xFF]) ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked_crc32c(strings: Sequence[bytes]) -> np.ndarray:
    """TFRecord's checksum of each string: its CRC-32C rotated by 15 bits plus a constant."""
    crc = crc32c(strings)
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
