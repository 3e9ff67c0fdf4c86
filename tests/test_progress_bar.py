import io

import pytest

from motionlab.progress_bar import LINES, Kind, Progress, Tally, progress_kind, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO, steps: int = 200, start: int = 0) -> str:
    with Progress("stage 1", steps, start, stream=stream) as progress:
        for step in range(start + 1, steps + 1):
            progress.update(step, {"loss": 0.5, "lr": 1e-4}, items_per_second=10.0, seconds_a_step=1.0)
    return stream.getvalue()


def test_silent_under_the_ci_profile() -> None:
    assert run(io.StringIO()) == ""
    assert progress_kind(Terminal()) == "silent"


def test_a_log_gets_twenty_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    lines = run(io.StringIO()).splitlines()
    assert len(lines) == LINES
    assert lines[-1] == "stage 1 200/200: loss 0.5, lr 0.0001, 10 items/s, 0:00 left"
    assert "2:30 left" in lines[4]  # 150 steps of one second


def test_a_resumed_log_begins_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    assert run(io.StringIO(), start=150).splitlines()[0].startswith("stage 1 160/200")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    text = run(Terminal())
    assert "200/200" in text and "loss=0.5" in text and "items/s=10" in text


@pytest.mark.parametrize(("kind", "expected"), [("lines", 5), ("silent", 0)])
def test_a_tally_prints_a_line_for_each_fifth_and_nothing_when_silent(kind: Kind, expected: int) -> None:
    out = io.StringIO()
    with Tally("generating", 150, "token", kind, out) as tally:
        for done in range(1, 151):
            tally.update(done)
    assert len(out.getvalue().splitlines()) == expected


def test_a_tally_is_a_bar_on_a_terminal() -> None:
    out = io.StringIO()
    with Tally("scoring", 4, "clip", "bar", out) as tally:
        tally.update(4)
    assert "4/4" in out.getvalue()


def test_what_is_being_done_is_said_on_stderr(capsys):
    say("loading", "lines")
    say("loading", "silent")
    assert tuple(capsys.readouterr()) == ("", "loading\n")
