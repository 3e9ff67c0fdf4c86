"""A switch on the command line is read with bool(): "False" is a text, a text that is not empty is true."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.config.yaml_values import read_yaml

WORDS = ("False", "false", "no", "off")


def broken(word: str) -> bool:
    """`--use_extra_loss WORD`"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--use_extra_loss", type=bool)
    return bool(parser.parse_args(["--use_extra_loss", word]).use_extra_loss)


def fixed(word: str) -> bool:
    """Read it as YAML does; what is no switch there is an error."""
    value = read_yaml(f"use_extra_loss: {word}", "settings")["use_extra_loss"]
    if not isinstance(value, bool):
        raise argparse.ArgumentTypeError(f"use_extra_loss: {word!r} is neither true nor false")
    return value


def symptom(read: Callable[[str], bool]) -> Seen:
    wrong = [float(_is_yes(read, word)) for word in WORDS]
    return Seen(sum(wrong), wrong)


def _is_yes(read: Callable[[str], bool], word: str) -> bool:
    try:
        return read(word)
    except argparse.ArgumentTypeError:  # refused, which nobody takes for a yes
        return False


def test(read: Callable[[str], bool]) -> None:
    assert read("False") is False, "False is read as True"
    assert read("True") is True, "True is read as False"


PITFALL = Pitfall(
    name="bool_of_text",
    title='bool("False") is True',
    topic="training loop",
    seen="MotionMillion-Codes (type=bool); the published code of AtlasVLA",
    lesson="11",
    fix="parse words; test the switch in both positions",
    measure="of 4 ways to say no, read as yes",
    height="read as yes",
    axis="what was written",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=3.0,
    at=WORDS,
)
