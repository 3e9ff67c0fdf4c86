"""`motionlab import`: a folder of anything becomes clips with verdicts, and nothing in it stops the import."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab import cli
from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.files.litter import temporary_prefix
from motionlab.jobs import import_motions as job
from motionlab.jobs.import_motions import ImportResult, import_motions
from motionlab.jobs.imports import one_file
from motionlab.jobs.imports.known_formats import missing_packages
from motionlab.jobs.imports.records import CLIPS, LOG
from motionlab.jobs.imports.summary import summary_lines
from motionlab.jobs.imports.table import PAGE, read_verdicts
from motionlab.jobs.page_language import spoken
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.read import FORMATS
from motionlab.motion.formats.write import WRITERS
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.verdict import LIMITS, Limit
from tests.chinese import HAN
from tests.fuzz.mutators import mutate
from tests.jobs.test_page_language import left_in_english

WALK = {sample.name: sample.motion for sample in load_samples()}["walk"]


def put(path: Path, motion: Motion = WALK) -> Path:
    """A short BVH file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bvh(path, motion.crop(0, 12))
    return path


def doubtful(path: Path) -> Path:
    """A file that says 1,000 frames a second."""
    text, changes = re.subn(r"Frame Time: \S+", "Frame Time: 0.001", put(path).read_text())
    assert changes == 1
    path.write_text(text)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / CLIPS).read_text(encoding="utf-8").splitlines()]


def run(*inputs: Path, out: Path, **options: Any) -> ImportResult:
    return import_motions(list(inputs), out, workers=1, **options)


def test_clips_carry_all_that_the_folder_source_needs(tmp_path: Path) -> None:
    put(tmp_path / "in/a/walk.bvh")
    put(tmp_path / "in/M_turn.bvh", WALK.mirror())
    (tmp_path / "in/a/walk.txt").write_text("a man walks\nhe turns##1.0#2.0\n")
    result = run(tmp_path / "in", out=tmp_path / "out")
    assert result.counts == {"right": 2, "doubtful": 0, "refused": 0, "unreadable": 0}
    first, second = rows(tmp_path / "out")
    assert (first["name"], first["source"], first["file"]) == ("M_turn", "M_turn", "motions/M_turn.npz")
    assert second["name"] == "walk" and second["source"] == "a/walk" and second["format"] == "BVH"
    assert second["captions"] == ["a man walks"] and "1 captions of parts" in second["notes"][-1]
    assert second["frames"] == 12 and second["fps"] == 30.0 and second["verdict"] == "right"
    motion = Motion.load(tmp_path / "out" / second["file"])
    assert len(motion) == 12 and motion.name == "walk"
    restored = motion.joints() - WALK.crop(0, 12).joints()
    assert float(restored.abs().max()) < 0.02
    verdicts = read_verdicts(tmp_path / "out")
    assert verdicts.counts == result.counts and verdicts.limits["limb_angle_deg"] == [None, 10]
    assert {"limb_angle_deg", "speed_m_s"} <= set(verdicts.clips[0]["measures"])


def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    for number in range(7):
        put(tmp_path / f"in/{number % 2}/walk_{number // 2}.bvh")
    (tmp_path / "in/bad.bvh").write_text("HIERARCHY\n")
    for workers in (1, 2):
        import_motions([tmp_path / "in"], tmp_path / str(workers) / "out", workers=workers)
    assert content(tmp_path / "1/out") == content(tmp_path / "2/out")
    names = [row["name"] for row in rows(tmp_path / "1/out")]
    assert names == ["0__walk_0", "0__walk_1", "0__walk_2", "walk_3", "1__walk_0", "1__walk_1", "1__walk_2"]


def test_one_faulty_file_is_one_line(tmp_path: Path) -> None:
    put(tmp_path / "in/walk.bvh")
    (tmp_path / "in/empty.bvh").write_text("")
    (tmp_path / "in/notes.docx").write_text("hello")
    (tmp_path / "in/list.txt").write_text("walk\n")
    (tmp_path / "in/.hidden.bvh").write_text("")
    animal = put(tmp_path / "in/animal.bvh").read_text().replace("JOINT left_hip", "JOINT tail")
    (tmp_path / "in/animal.bvh").write_text(animal)
    result = run(tmp_path / "in", out=tmp_path / "out")
    assert result.counts == {"right": 1, "doubtful": 0, "refused": 1, "unreadable": 1}
    assert result.unknown == {".docx": 1, ".txt": 1} and result.kept == 1
    lines = summary_lines(result)
    assert sum(line.startswith("unreadable: ") and "in/empty.bvh: found" in line for line in lines) == 1
    assert sum(line.startswith("refused   animal ") for line in lines) == 1
    assert "not motions: 1 x .docx, 1 x .txt" in lines
    assert [row["name"] for row in rows(tmp_path / "out")] == ["walk"]


def test_doubtful_clips_are_in_quarantine_unless_asked_for(tmp_path: Path) -> None:
    put(tmp_path / "in/walk.bvh")
    doubtful(tmp_path / "in/fast.bvh")
    result = run(tmp_path / "in", out=tmp_path / "out")
    assert result.counts["doubtful"] == 1 and result.kept == 1
    fast, walk = rows(tmp_path / "out")
    assert fast["file"] == "quarantine/fast.npz" and walk["file"] == "motions/walk.npz"
    assert fast["reasons"] == ["The file says 1000 frames a second, more than cameras take; give --fps."]
    page = (tmp_path / "out" / PAGE).read_text(encoding="utf-8")
    assert page.index("fast") < page.index("walk</b>") and "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "") and "source_fps 1000<" in page
    kept = run(tmp_path / "in", out=tmp_path / "kept", keep_doubtful=True)
    assert kept.kept == 2 and rows(tmp_path / "kept")[0]["file"] == "motions/fast.npz"
    told = run(tmp_path / "in/fast.bvh", out=tmp_path / "told", fps=30.0)
    assert told.counts["right"] == 1


def test_captions_find_their_clips(tmp_path: Path) -> None:
    put(tmp_path / "in/a/walk.bvh")
    put(tmp_path / "in/b/walk.bvh")
    put(tmp_path / "in/run.bvh")
    (tmp_path / "captions.csv").write_text(
        "file,caption\na/walk.bvh,first\nb__walk,second\nrun,third\nrun.bvh,fourth\nwalk,nobody's\nlost.bvh,alone\n"
    )
    result = run(tmp_path / "in", out=tmp_path / "out", captions=tmp_path / "captions.csv")
    found = {row["name"]: row["captions"] for row in rows(tmp_path / "out")}
    assert found == {"a__walk": ["first"], "b__walk": ["second"], "run": ["third", "fourth"]}
    assert result.captions_without_motion == ["lost", "walk"] and result.without_caption == []
    assert "captions without a motion: 2 (lost, walk)" in summary_lines(result)
    (tmp_path / "in/captions.txt").write_text("run\tfrom the folder itself\n")
    (tmp_path / "in/captions.csv").write_text("name,caption,start,end\nrun,he turns,0.1,0.2\n")
    again = run(tmp_path / "in", out=tmp_path / "out")
    assert [row["captions"] for row in rows(tmp_path / "out") if row["name"] == "run"] == [["from the folder itself"]]
    assert again.without_caption == ["a__walk", "b__walk"] and again.skipped == 3
    assert "motions without a caption: 2 (a__walk, b__walk)" in summary_lines(again)
    assert any(line.startswith("captions of parts of motions, left out: 1") for line in summary_lines(again))
    with pytest.raises(InputError, match="no file"):
        run(tmp_path / "in", out=tmp_path / "new", captions=tmp_path / "no.csv")
    assert not (tmp_path / "new").exists()


def test_links_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "in/a/walk.bvh")
    (tmp_path / "in/a/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/again").symlink_to(tmp_path / "in/a")
    (tmp_path / "in/lost.bvh").symlink_to(tmp_path / "nowhere")
    put(tmp_path / "else/run.bvh")
    (tmp_path / "in/else").symlink_to(tmp_path / "else")
    result = run(tmp_path / "in", tmp_path / "in/a/walk.bvh", out=tmp_path / "in/out")
    assert [clip.name for clip in result.clips] == ["walk", "run"]
    assert result.broken == {"lost.bvh": "a link that leads nowhere"}
    assert run(tmp_path / "in", out=tmp_path / "in/out").skipped == 2  # not the folder that was written


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in/walk.bvh")

    def denied(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(one_file, "sha256", denied)  # root, who runs tests in containers, may read everything
    assert run(tmp_path / "in", out=tmp_path / "out").unreadable == {"walk.bvh": "Permission denied"}


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("take: 1?.bvh", "CON.bvh", "take  1 .bvh", "走路.bvh", "x" * 200 + ".bvh"):
        put(tmp_path / "walk.bvh")
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "walk.bvh", tmp_path / "in" / name)
    os.makedirs(tmp_path / "in/A")
    shutil.copy(tmp_path / "walk.bvh", tmp_path / "in/A/con.bvh")
    shutil.copy(os.fsencode(tmp_path / "walk.bvh"), os.fsencode(tmp_path / "in") + b"/\xff.bvh")
    result = run(tmp_path / "in", out=tmp_path / "out")
    names = [clip.name for clip in result.clips]
    assert len({name.casefold() for name in names}) == 7 and result.counts["right"] == 7
    assert {"_CON", "A___con", "走路", "x" * 120} <= set(names)
    assert "take_1" in names and "take_1_bvh" not in names


@pytest.mark.parametrize("inputs", [[], ["no such folder"]])
def test_no_input_is_refused_before_anything_is_written(inputs: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="files or folders|nothing there"):
        run(*(tmp_path / name for name in inputs), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_gives_no_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SystemExit) as end:
        cli.main(["import", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
    assert end.value.code == 1
    assert "0 right, 0 doubtful, 0 refused, 0 unreadable (files: 0)" in capsys.readouterr().out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "in/walk.bvh")
    arguments = ["import", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--workers", "1", "--unit", "m"]
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    out = capsys.readouterr().out
    assert not end.value.code and "right     walk     12 frames" in out
    assert "1 right, 0 doubtful, 0 refused, 0 unreadable (files: 1)" in out
    with pytest.raises(SystemExit) as end:
        cli.main([*arguments, "--unit", "parsec"])
    assert end.value.code == 2 and "found 'parsec', expected m, cm, mm, in" in capsys.readouterr().err


def test_the_registry_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["formats"])
    out = capsys.readouterr().out
    assert not end.value.code
    assert len([line for line in out.splitlines() if not line.startswith(" ")]) == len(FORMATS) + 1 + len(WRITERS)
    assert "BVH: .bvh" in out and "carries a skeleton of any shape" in out and "loses the unit" in out


def test_an_extra_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch>=2", 'ezc3d>=1.7; extra == "c3d"', "numpy>=1; extra == 'both'", 'nothere>=1; extra == "both"']
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
    assert missing_packages("both") == ["nothere"] and missing_packages("unknown") == ["unknown"]


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    put(tmp_path / "in/walk.bvh")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("my only copy")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"a folder with thesis.tex"):
            run(tmp_path / "in", out=tmp_path / "out", overwrite=overwrite)
    assert content(tmp_path / "out") == {"thesis.tex": b"my only copy"}
    with pytest.raises(InputError, match="found a file, expected a folder"):
        run(tmp_path / "in", out=tmp_path / "out/thesis.tex")


def test_an_earlier_import_inside_the_inputs_is_not_imported_again(tmp_path: Path) -> None:
    put(tmp_path / "in/walk.bvh")
    run(tmp_path / "in", out=tmp_path / "in/old")
    result = run(tmp_path / "in", out=tmp_path / "new")
    assert [row["file"] for row in rows(tmp_path / "new")] == ["motions/walk.npz"]
    assert result.unknown == {"folder of an import": 1}
    assert len(run(tmp_path / "in/old", out=tmp_path / "asked").clips) == 1  # a folder that is named itself is read


def test_a_second_import_reads_only_new_and_changed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / f"in/{name}.bvh")
    run(tmp_path / "in", out=tmp_path / "out")
    read: list[str] = []

    def seen(source: Any, *rest: Any) -> Any:
        read.append(source.stem)
        return one_file.import_file(source, *rest)

    monkeypatch.setattr(job, "import_file", seen)
    doubtful(tmp_path / "in/b.bvh")
    put(tmp_path / "in/d.bvh")
    (tmp_path / "out/motions/c.npz").unlink()
    result = run(tmp_path / "in", out=tmp_path / "out")
    assert read == ["b", "c", "d"] and result.skipped == 1
    assert [(row["name"], row["verdict"]) for row in rows(tmp_path / "out")] == [
        ("a", "right"), ("b", "doubtful"), ("c", "right"), ("d", "right"),
    ]  # fmt: skip
    assert not (tmp_path / "out/motions/b.npz").exists() and (tmp_path / "out/quarantine/b.npz").exists()
    put(tmp_path / "more/a.bvh", WALK.mirror())
    more = run(tmp_path / "more", out=tmp_path / "out")
    assert [clip.name for clip in more.clips] == ["a", "b", "c", "d", "a_bvh"], "clips of earlier imports stay"
    with pytest.raises(InputError, match=r"an import with fps None, expected 60.0"):
        run(tmp_path / "in", out=tmp_path / "out", fps=60.0)
    fresh = run(tmp_path / "in", out=tmp_path / "out", fps=60.0, overwrite=True)
    assert [clip.name for clip in fresh.clips] == ["a", "b", "c", "d"]
    assert not (tmp_path / "out/motions/a_bvh.npz").exists()


def test_a_killed_import_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c", "d"):
        put(tmp_path / f"in/{name}.bvh")
    run(tmp_path / "in", out=tmp_path / "whole/out")

    class Killed(BaseException):
        pass

    def die(source: Any, *rest: Any) -> Any:
        if source.stem == "c":
            raise Killed
        return one_file.import_file(source, *rest)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(job, "import_file", die)
        run(tmp_path / "in", out=tmp_path / "killed/out")
    out = tmp_path / "killed/out"
    assert not (out / CLIPS).exists()
    with open(out / LOG, "a") as file:
        file.write('{"path": "/half a li')  # as a kill may leave it
    (out / "motions" / f"{temporary_prefix('c').replace(str(os.getpid()), '1999999')}x.npz").write_bytes(b"half")
    result = run(tmp_path / "in", out=out)
    assert result.skipped == 2
    assert content(out) == content(tmp_path / "whole/out")


def test_a_full_disk_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"in/{name}.bvh")

    def full(file: Any, **arrays: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez_compressed", full)
        with pytest.raises(InputError, match=r"a.npz: found No space left on device while writing"):
            run(tmp_path / "in", out=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.npz")) and not (tmp_path / "out" / CLIPS).exists()
    assert run(tmp_path / "in", out=tmp_path / "out").counts["right"] == 2


def test_mutated_files_never_stop_an_import(tmp_path: Path) -> None:
    valid = put(tmp_path / "walk.bvh").read_bytes()
    (tmp_path / "in").mkdir()
    for seed in range(60):
        changed = mutate(valid, ("bytes", "text"), random.Random(f"import {seed}"))
        (tmp_path / f"in/{seed:02d}.bvh").write_bytes(changed)
    put(tmp_path / "in/valid.bvh")
    result = run(tmp_path / "in", out=tmp_path / "out")
    assert len(result.entries) == 61 and result.unreadable
    assert "valid" in [clip.name for clip in result.clips if clip.verdict == "right"]
    for row in rows(tmp_path / "out"):
        assert torch.isfinite(Motion.load(tmp_path / "out" / row["file"]).features).all()
    for line in summary_lines(result):
        assert "\n" not in line


def test_a_reader_that_fails_in_any_way_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in/walk.bvh")
    put(tmp_path / "in/run.bvh")

    def broken(failure: BaseException) -> Callable[..., Any]:
        def fail(*_: Any, **__: Any) -> Any:
            raise failure

        return fail

    for failure, text in ((ZeroDivisionError("division"), "division"), (MemoryError(), "not enough memory")):
        with monkeypatch.context() as patch:
            patch.setattr(one_file, "retarget", broken(failure))
            result = run(tmp_path / "in", out=tmp_path / f"out {text}")
        assert result.counts["refused"] == 2 and text in result.clips[0].reasons[0]


def test_an_own_file_of_several_motions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from motionlab.motion.formats import read
    from motionlab.motion.formats.registry import Format, any_file
    from motionlab.motion.formats.source import Reading

    def three(path: Path, options: Any) -> Any:
        for name in ("first", "", "first"):
            yield Reading(Motion(WALK.features, name=name), (f"caption of {name}",), ("a note",))
        raise InputError(path, found="half a row", expected="whole rows", fix="Make it again.")

    rows_format = Format("rows", (".rows",), "rows", "nothing", any_file, three)
    formats = (*read.FORMATS, rows_format)
    monkeypatch.setattr(read, "FORMATS", formats)
    monkeypatch.setattr("motionlab.jobs.imports.files.FORMATS", formats)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/data.rows").write_text("...")
    (tmp_path / "captions.jsonl").write_text('{"name": "data--0002", "caption": "more"}\n')
    result = run(tmp_path / "in", out=tmp_path / "out", captions=tmp_path / "captions.jsonl")
    found = rows(tmp_path / "out")
    assert [row["name"] for row in found] == ["data--first", "data--0002", "data--first_2"]
    assert [row["source"] for row in found] == ["data/first", "data/0002", "data/first_2"]
    assert found[1]["captions"] == ["caption of ", "more"] and found[0]["notes"] == ["a note"]
    assert result.counts["right"] == 3 and "half a row" in result.unreadable["data.rows"]


def test_the_page_of_verdicts_in_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words, the verdicts and the reasons; names, captions and what a format says of its file stay."""
    put(tmp_path / "in/measures.bvh")  # a name that is a word of the page, too
    doubtful(tmp_path / "in/fast.bvh")
    (tmp_path / "in/bad.bvh").write_text("HIERARCHY\n")
    (tmp_path / "in/measures.txt").write_text("measures\n")
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    english = run(tmp_path / "in", out=tmp_path / "out")
    page = (tmp_path / "out" / PAGE).read_text(encoding="utf-8")
    reason = "文件说每秒 1000 帧，比摄像机拍的还多；请给出 --fps。"
    for words in ("<h2>可疑：1</h2>", reason, "<span>BVH，12 帧</span>", "测量值"):
        assert words in page, words
    assert '<b translate="no">measures</b>' in page and '<p translate="no">measures</p>' in page
    left = {text for text in left_in_english(page) if not re.match(r"[a-z_0-9]+ [\d.e+-]+$", text)}
    assert {text for text in left if "bad" not in text} <= {"fast", "measures"}
    assert english.counts["doubtful"] == 1  # what programs read does not change
    reasons = [reason for clip in read_verdicts(tmp_path / "out").clips for reason in clip["reasons"]]
    assert reasons == ["The file says 1000 frames a second, more than cameras take; give --fps."]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.sentence[:30])
def test_every_reason_has_a_pair(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    bound = limit.low if limit.low is not None else limit.high
    for value in (0.123, 12.5, 12345.6):
        assert HAN.search(spoken(f"<p>{limit.sentence.format(value=value, limit=bound)}</p>")), limit.sentence
