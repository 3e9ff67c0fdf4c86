"""Where the instruction stands, in each of the ways that files have it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.vla.libero.language import instruction_of, instruction_of_name

PATH = Path("KITCHEN_SCENE10_close_the_top_drawer_demo.hdf5")


def info(value):
    return {"problem_info": json.dumps({"language_instruction": value})}


@pytest.mark.parametrize(
    ("data", "demo", "expected"),
    [
        (info("put the bowl on the plate"), {}, "put the bowl on the plate"),
        (info('"put the bowl"'), {}, "put the bowl"),
        (info(["put", "the", "bowl"]), {}, "put the bowl"),
        (info(list("put it")), {}, "put it"),
        ({"problem_info": info("as bytes")["problem_info"].encode()}, {}, "as bytes"),
        (info("of the file"), {"language": "of the demo"}, "of the file"),
        ({}, {"language": "of the demo"}, "of the demo"),
        ({"problem_info": "{}"}, {"language_instruction": b"in bytes"}, "in bytes"),
        ({}, {"language": np.array([b"in", b"words"], dtype=object)}, "in words"),
        ({"language": "of all"}, {}, "of all"),
        ({}, {}, "close the top drawer"),
    ],
)
def test_the_first_place_that_has_it(data, demo, expected):
    assert instruction_of(data, demo, PATH, "here") == expected


@pytest.mark.parametrize(
    ("data", "demo", "path", "message"),
    [
        (info(""), {"language": "never asked"}, PATH, "problem_info.language_instruction: found an empty text"),
        (info(None), {}, PATH, "found an empty text"),
        ({}, {"language": '""'}, PATH, "here.language: found an empty text"),
        ({"problem_info": "[1]"}, {}, PATH, r"problem_info: found '\[1\]', expected a JSON object"),
        ({}, {}, Path("data.hdf5"), "here: found no instruction, and a file name without one"),
    ],
)
def test_no_sentence_is_an_error_and_never_a_placeholder(data, demo, path, message):
    with pytest.raises(InputError, match=message):
        instruction_of(data, demo, path, "here")


def test_names_of_files():
    assert instruction_of_name("LIVING_ROOM_SCENE2_pick_up_the_milk_demo") == "pick up the milk"
    assert instruction_of_name("push_the_plate_demo") == "push the plate"
