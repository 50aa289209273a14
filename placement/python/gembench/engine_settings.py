"""What users set for the plug-ins of engines, by environment variables: servers start their workers
themselves, and variables are what reaches all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable, Mapping, Optional, TypeVar

T = TypeVar("T")

OFF = frozenset({"0", "off", "no", "false"})


@dataclass(frozen=True)
class Settings:
    """The README of placement/python has the table of variables."""

    strategy: str = "gem"
    max_moves: int = 0  # experts a layer; 0: plan afresh
    speeds: Optional[tuple[float, ...]] = None  # [rank]
    profile: str = ""  # path of a profile.h5
    rows: int = 64  # most rows of loads to plan on; more are summed in groups
    threads: int = 0  # 0: the host's CPUs, shared by its ranks
    agree: bool = True


def is_off(environment: Optional[Mapping[str, str]] = None) -> bool:
    """Whether GEMBENCH_EPLB says to leave the engine alone."""
    return _text(environment, "").lower() in OFF


def read_settings(environment: Optional[Mapping[str, str]] = None) -> Settings:
    """From os.environ, if none is given. ValueError, with the variable's name, for a value of no use."""
    return Settings(
        strategy=_text(environment, "_STRATEGY") or Settings.strategy,
        max_moves=_value(environment, "_MAX_MOVES", Settings.max_moves, _count, "a whole number from 0"),
        speeds=_value(environment, "_SPEEDS", Settings.speeds, _numbers, "numbers above 0 with commas, one a rank"),
        profile=_text(environment, "_PROFILE"),
        rows=_value(environment, "_ROWS", Settings.rows, _positive, "a whole number from 1"),
        threads=_value(environment, "_THREADS", Settings.threads, _count, "a whole number from 0"),
        agree=agrees(environment))


def agrees(environment: Optional[Mapping[str, str]] = None) -> bool:
    """Settings.agree, which is known even where other variables are of no use."""
    return _text(environment, "_AGREE").lower() not in OFF


def _text(environment: Optional[Mapping[str, str]], ending: str) -> str:
    return (os.environ if environment is None else environment).get("GEMBENCH_EPLB" + ending, "").strip()


def _value(environment: Optional[Mapping[str, str]], ending: str, default: T, read: Callable[[str], T],
           wanted: str) -> T:
    text = _text(environment, ending)
    if not text:
        return default
    try:
        return read(text)
    except ValueError:
        raise ValueError(f"GEMBENCH_EPLB{ending} is '{text}', not {wanted}") from None


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _positive(text: str) -> int:
    number = _count(text)
    if number == 0:
        raise ValueError
    return number


def _numbers(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if not all(0 < number < float("inf") for number in numbers):
        raise ValueError
    return numbers
