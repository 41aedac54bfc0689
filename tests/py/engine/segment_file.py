"""The segment's file as bytes: what tests change in it (docs/format.md, src/coherence/layout.h)."""

import struct
from pathlib import Path

SIZES = {"size": 4 << 20, "cells": 1024, "slots": 16, "max_entry": 256 << 10}

FROZEN_VERSION_AT = 8
STORE_VERSION_AT = 16
BOOT_ID_AT = 80
CONSTANTS_SIZE = 136 + 1024
STORE_FROM = 4096
MASK = 2**64 - 1


def mix(state: int, word: int) -> int:
    state = (state ^ word) * 0x9E3779B97F4A7C15 & MASK
    return state ^ state >> 32


def checksum(data: bytes) -> int:
    """qc_checksum of src/base/hash.h, for lengths that are multiples of eight."""
    lanes = [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89]
    words = struct.unpack(f"<{len(data) // 8}Q", data)
    whole = len(words) // 4 * 4
    for at in range(whole):
        lanes[at % 4] = mix(lanes[at % 4], words[at])
    sum_ = mix(len(data), lanes[0])
    for word in (*lanes[1:], *words[whole:], 0):
        sum_ = mix(sum_, word)
    return mix(sum_, sum_ >> 29)


def change_constants(path: str, at: int, new: bytes) -> None:
    """Changes the header as another release might have written it: its checksum is right."""
    data = bytearray(Path(path).read_bytes())
    data[at : at + len(new)] = new
    data[CONSTANTS_SIZE : CONSTANTS_SIZE + 8] = struct.pack(
        "<Q", checksum(bytes(data[:CONSTANTS_SIZE]))
    )
    write_over(path, 0, bytes(data[:STORE_FROM]))


def write_over(path: str, at: int, new: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(new)
