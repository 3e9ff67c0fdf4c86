"""The card of a data source and the audit of its clips, by the commands that a person gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from motionlab import cli
from motionlab.config import load_config
from motionlab.jobs.audit import audit, audit_text
from motionlab.jobs.card import write_card
from motionlab.jobs.prepare import prepare
from motionlab.motion.motion import Motion
from tests.data.folders import short_samples, write_imported


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six clips, one of them with an arm that grows, one that begins elsewhere."""
    folder = write_imported(tmp_path / "mine", short_samples(6))
    for name, joint, by in ((short_samples(2)[0].name, 21, 0.4), (short_samples(2)[1].name, slice(None), 2.0)):
        path = folder / "motions" / f"{name}.npz"
        motion = Motion.load(path)
        joints = motion.joints()
        joints[0, joint, 0] += by
        Motion.from_joints_rotations(joints, motion.rotations()).save(path)
    return folder


def settings(folder: Path) -> list[str]:
    return ["data.source=folder", f"data.path={folder}"]


def test_the_audit_names_faulty_clips_and_training_leaves_them_out(folder: Path) -> None:
    config = load_config("ci", settings(folder))
    grown, begun = (sample.name for sample in short_samples(2))
    found = audit(config)
    assert set(found.faulty) == {grown, begun} and found.clips == 6
    assert any(reason.startswith("bone_drift") for reason in found.faulty[grown])
    assert any(reason.startswith("first_frame_jump") for reason in found.faulty[begun])
    assert "2 of 6 clips are above a limit" in audit_text(found)
    splits = prepare(config)
    assert sum(map(len, splits.named().values())) == 4 and "2 clips were left out, in quarantine" in splits.note
    everything = prepare(load_config("ci", [*settings(folder), "data.quarantine=false"]))
    assert sum(map(len, everything.named().values())) == 6


def test_a_line_of_a_person_stays_and_lines_of_the_audit_are_made_again(folder: Path) -> None:
    path = folder / "quarantine.jsonl"
    path.write_text(
        '{"name": "mine", "reasons": ["I do not like it"]}\n{"name": "old", "reasons": [], "by": "audit"}\n'
    )
    audit(load_config("ci", settings(folder)))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["name"] for row in rows][0] == "mine" and {row["name"] for row in rows[1:]} == {
        sample.name for sample in short_samples(2)
    }
    before = path.read_text()
    audit(load_config("ci", settings(folder)))
    assert path.read_text() == before


def test_the_audit_of_composed_motions_writes_no_list(tmp_path: Path) -> None:
    found = audit(
        load_config(
            "ci",
            [
                "corpus.n_train=8",
                "corpus.n_seen_pairs=2",
                "corpus.n_unseen_pairs=2",
                "corpus.n_new_takes=2",
                "corpus.n_validation=4",
            ],
        ),
        tmp_path,
    )
    assert found.listed is None and found.clips == len((tmp_path / "audit.jsonl").read_text().splitlines())


def test_the_card_counts_what_a_run_would_see(folder: Path, tmp_path: Path) -> None:
    (folder / "quarantine.jsonl").write_text(json.dumps({"name": short_samples(6)[5].name, "reasons": ["x"]}) + "\n")
    text = write_card(load_config("ci", settings(folder)), tmp_path / "out")
    card = json.loads((tmp_path / "out" / "card.json").read_text(encoding="utf-8"))
    assert sum(split["clips"] for split in card["splits"].values()) == 5
    frames = sum(len(sample.motion) for sample in short_samples(5))
    assert sum(split["hours"] for split in card["splits"].values()) == pytest.approx(frames / 30 / 3600)
    assert sum(split["jumps"] for split in card["splits"].values()) == 2
    train = card["splits"]["train"]
    assert train["fps"] == 30 and train["takes"] == train["clips"] and len(train["seconds"]) == 7
    assert "in quarantine" in card["note"] and len(card["digest"]) == 64
    page = (tmp_path / "out" / "card.html").read_text(encoding="utf-8")
    for words in ("Action types", "seconds: shortest", "in quarantine", *train["actions"]):
        assert words in text and words in page, words
    assert "<script" not in page and "http" not in page


def test_the_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, told in (("card", "Action types"), ("audit", "clips are above a limit")):
        with pytest.raises(SystemExit) as stop:
            cli.main([command, *settings(folder)])
        assert not stop.value.code and told in capsys.readouterr().out


def test_clips_that_splits_share_count_once_on_the_page(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "one", short_samples(1))
    write_card(load_config("ci", settings(folder)), tmp_path / "card")
    assert "<b>1</b><span>clips</span>" in (tmp_path / "card" / "card.html").read_text(encoding="utf-8")


def test_mirrored_clips_are_counted_by_the_names_that_twins_have(tmp_path: Path) -> None:
    some = [
        replace(sample, name=name)
        for sample, name in zip(
            short_samples(4), ("M000001", "000001", "hall_of_mirrors", "kick_mirrored"), strict=True
        )
    ]
    write_imported(tmp_path / "mine", some)
    write_card(load_config("ci", settings(tmp_path / "mine")), tmp_path / "card")
    card = json.loads((tmp_path / "card" / "card.json").read_text(encoding="utf-8"))
    assert sum(split["mirrored"] for split in card["splits"].values()) == 2


def test_takes_and_mirrored_parts_of_composed_motions_are_those_of_their_segments(tmp_path: Path) -> None:
    config = load_config("ci")
    write_card(config, tmp_path)
    train, card = prepare(config).train, json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    parts = [train.segments(i) for i in range(len(train))]
    assert card["splits"]["train"]["takes"] == len({part.sample for some in parts for part in some}) < len(train)
    assert card["splits"]["train"]["mirrored"] == sum(any(part.mirrored for part in some) for some in parts) > 0
