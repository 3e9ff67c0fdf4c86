"""Captions from the files that people keep them in; every mistake is named by its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motionlab.data.captions_file import Caption, clip_key, read_caption_lines, read_captions, read_timed_captions
from motionlab.errors import InputError

WHOLE = {"walk": ["a man walks", "he strolls, slowly"], "sub/kick": ["she kicks"]}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'name,caption\nwalk.bvh,a man walks\nwalk,"he strolls, slowly"\nsub/kick.bvh,she kicks\n'),
        ("b.csv", '\ufefffile,caption,x\nwalk,a man walks,\nwalk,"he strolls, slowly",1\nsub\\kick,she kicks,\n'),
        ("c.csv", 'walk,a man walks\nwalk,"he strolls, slowly"\n\nsub/kick,  she   kicks \n'),
        ("d.jsonl", '{"name": "walk", "captions": ["a man walks", "he strolls, slowly"]}\n'
         '{"file": "sub/kick.npy", "text": "she kicks"}\n'),
        ("e.json", json.dumps({"walk": ["a man walks", "he strolls, slowly"], "sub/kick": "she kicks"})),
        ("f.json", json.dumps([{"id": "walk", "captions": WHOLE["walk"]}, {"id": "sub/kick", "caption": "she kicks"}])),
        ("g.txt", "walk\ta man walks\nwalk|he strolls, slowly\n\nsub/kick: she kicks\n"),
    ],
)  # fmt: skip
def test_every_form_gives_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert read_captions(write(tmp_path, name, text)) == WHOLE


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "name,caption,start,end\nlong,walks,0,2\nlong,turns,2,3.5\nlong,all of it,,\n"),
        ("b.jsonl", '{"name":"long","events":[{"start_time":0,"end_time":2,"description":"walks"},'
         '{"start_time":2,"end_time":3.5,"description":"turns"}],"caption":"all of it"}'),
        ("c.json", json.dumps({"long": {
            "seq_ann": {"labels": [{"proc_label": "all of it"}]},
            "frame_ann": {"labels": [{"proc_label": "walks", "start_t": 0.0, "end_t": 2.0},
                                     {"proc_label": "turns", "start_t": 2.0, "end_t": 3.5}]}}})),
    ],
)  # fmt: skip
def test_timed_captions(tmp_path: Path, name: str, text: str) -> None:
    found = read_timed_captions(write(tmp_path, name, text))
    assert set(found["long"]) == {Caption("walks", 0.0, 2.0), Caption("turns", 2.0, 3.5), Caption("all of it")}
    with pytest.raises(InputError, match="a caption of seconds"):
        read_captions(tmp_path / name)


def test_humanml3d_lines() -> None:
    text = "a man walks#a/DET man/NOUN#0.0#0.0\nlow # sign\n \nno number#x#nan#nan\nhe turns#he/PRON#1.5#3\n"
    assert read_caption_lines(text, "t") == [
        Caption("a man walks"),
        Caption("low # sign"),
        Caption("no number"),
        Caption("he turns", 1.5, 3.0),
    ]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "name,caption\nwalk,a,b\n", "line 2: found 3 values"),
        ("a.csv", "x,y,z\n1,2,3\n", "line 1: found columns x, y, z"),
        ("a.csv", 'name,caption\nwalk,"open\n', "CSV file"),
        ("a.csv", "name,caption,start,end\nw,x,3,1\n", "line 2: found from '3' to '1'"),
        ("a.csv", "name,caption\n,x\n", "line 2: found no name"),
        ("a.jsonl", '{"name": "w", "caption": "x"}\n{"caption": "x"}\n', "line 2: found no name"),
        ("a.jsonl", '{"name": "w", "captions": [3]}\n', "line 1: found a int"),
        ("a.jsonl", '{"name": "w"}\n', "line 1: found an entry without text"),
        ("a.txt", "just words\n", "line 1: found 'just words'"),
        ("a.doc", "x", "suffix"),
    ],
)
def test_mistakes_are_named_by_their_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_timed_captions(write(tmp_path, name, text))


def test_a_time_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match=r"t, line 2: found from '2' to 'x'"):
        read_caption_lines("good\nbad#b#2#x\n", "t")


def test_names_lose_their_suffix_only() -> None:
    assert [clip_key(name) for name in ("a.b.bvh", "12.5", "./x/y.npz", "v1.2 take")] == [
        "a.b",
        "12.5",
        "x/y",
        "v1.2 take",
    ]


@pytest.mark.parametrize("sign", [";", "\t"])
@pytest.mark.parametrize("head", ["name{}caption\n", ""])
def test_spreadsheets_write_other_signs_between_values(tmp_path: Path, sign: str, head: str) -> None:
    path = tmp_path / "captions.csv"
    path.write_text(f'{head}walk{sign}goes, slowly\nkick{sign}"kicks"\n'.format(sign), encoding="utf-8-sig")
    assert read_captions(path) == {"walk": ["goes, slowly"], "kick": ["kicks"]}
