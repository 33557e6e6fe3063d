"""The reference of summaries: the word of a job's numbers, by the rules of docs/verification.md."""

import hashlib
import re
from fractions import Fraction

from verdict import LANE, SAMPLES, STEPS, VOID

MOST_BYTES = 1024
NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,3}))?")
SPACE = " \t\n\r\f"


def word_of(kinds: list[str], text: str) -> int:
    """The word of the numbers in `text`, each compared as its kind says; VOID where they are no summary."""
    if len(text.encode()) > MOST_BYTES or any(not (" " <= char <= "~" or char in SPACE) for char in text):
        return VOID
    numbers = text.split()
    if len(numbers) != len(kinds) or len(kinds) > SAMPLES:
        return VOID
    lanes = [lane(kind, number) for kind, number in zip(kinds, numbers)]
    if None in lanes:
        return VOID
    return sum(value << 25 * k for k, value in enumerate(lanes))


def lane(kind: str, text: str) -> int | None:
    if len(text) > 40:
        return None
    if kind == "exact":
        first = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        return first % 2**17 * 256
    number = read(text)
    if number is None:
        return None
    name, tolerance = kind.split(":")
    if name == "abs":
        return rounded(STEPS * number / read(tolerance)) % LANE
    if number == 0:
        return 3 * 2**23
    unit = log(1 + Fraction(int(tolerance.removesuffix("ppm")), 10**6))
    steps = rounded(Fraction(STEPS * log(abs(number)), unit))
    return (steps + (2**24 if number < 0 else 0)) % LANE


def read(text: str) -> Fraction | None:
    """A decimal number; None for text that is none."""
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, decimals, power = found[1], found[2], found[3] or "", int(found[4] or 0)
    digits = whole + decimals
    if not 1 <= len(digits) <= 40 or abs(power) > 400:
        return None
    number = int(digits) * Fraction(10) ** (power - len(decimals))
    return -number if sign == "-" else number


def rounded(number: Fraction) -> int:
    """Half away from zero."""
    size = int(abs(number) + Fraction(1, 2))
    return -size if number < 0 else size


def log(number: Fraction) -> int:
    """floor(2^32 log2 number), by squaring 32 times with 64 bits of fraction."""
    power = 0
    while number >= 2:
        number, power = number / 2, power + 1
    while number < 1:
        number, power = number * 2, power - 1
    mantissa, result = int(number * 2**64), power
    for _ in range(32):
        mantissa = mantissa * mantissa >> 64
        bit = mantissa >> 65
        mantissa >>= bit
        result = 2 * result + bit
    return result
