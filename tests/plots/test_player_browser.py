"""The players in a browser: when they play, that motions stay in step, how large a figure is, what a reader can do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionlab.data.composed.samples import load_samples
from motionlab.plots.player import Track, clip_data, player_html, player_page
from motionlab.plots.robot_player import robot_player_page

pytestmark = pytest.mark.browser
# What is drawn in the colour of a track, below the 34 pixels of its label: its share of the frame's width or height,
# whichever is more, and whether it keeps away from the edges.
FILLED = """([canvas, number, count, color]) => {
  const wide = canvas.width / count, pen = canvas.getContext("2d"), ratio = devicePixelRatio;
  const {data, width, height} = pen.getImageData(number * wide, 34 * ratio, wide, canvas.height - 34 * ratio);
  let x0 = width, x1 = 0, y0 = height, y1 = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 250 || color.some((value, k) => Math.abs(value - data[i + k]) > 4)) continue;
    const x = (i / 4) % width, y = Math.floor(i / 4 / width);
    x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
  }
  const share = Math.max((x1 - x0) / width, (y1 - y0) / canvas.height);
  return {share, inside: x0 > 2 && x1 < width - 3 && y0 > 2 && y1 < height - 3};
}"""
Opener = Callable[..., Any]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Opener]:
    """`show(html)` opens a page that may ask nothing of anyone; faults of its scripts fail the test."""
    problems: list[str] = []
    contexts = []

    def open_page(html: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 900, "height": 700}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or problems.append(request.url))
        path = tmp_path / f"page-{len(contexts)}.html"
        path.write_text(html, encoding="utf-8")
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def motion(name: str) -> np.ndarray:
    """Joints of a bundled sample."""
    found = next(one for one in load_samples() if one.name == name)
    return np.asarray(found.motion.joints())


def place(player: Any) -> int:
    """The frame that a player shows."""
    return int(player.locator("output").inner_text().split()[1])


def passes(page: Any, player: Any) -> bool:
    """Whether the frame changes within a third of a second."""
    before = place(player)
    page.wait_for_timeout(350)
    return place(player) != before


def picture(player: Any) -> str:
    return str(player.locator("canvas").evaluate("canvas => canvas.toDataURL()"))


def test_a_motion_plays_while_it_is_seen_and_only_then(show: Opener) -> None:
    body = player_html([Track("real", motion("walk"))])
    page = show(f"{body}<div style='height: 3000px'></div>{body}")
    first, second = page.locator(".motionlab-player").all()
    page.wait_for_function("() => !document.querySelector('output').innerText.startsWith('frame 0 ')")
    assert place(second) == 0 and not passes(page, second)
    second.scroll_into_view_if_needed()
    page.wait_for_function("() => !document.querySelectorAll('output')[1].innerText.startsWith('frame 0 ')")
    page.wait_for_timeout(100)
    assert not passes(page, first), "it is out of sight"
    second.get_by_role("button", name="Pause").click()
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(200)
    assert passes(page, first)
    second.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    assert not passes(page, second), "the reader has stopped it"


def test_nothing_moves_by_itself_for_who_asks_for_reduced_motion(show: Opener) -> None:
    film = [np.full((4, 4, 3), number, np.uint8) for number in range(4)]
    page = show(robot_player_page(film, fps=20), reduced_motion="reduce")
    page.wait_for_timeout(400)
    assert page.get_by_text("step 0 of 3").count() == 1
    page = show(player_html([Track("real", motion("walk"))]), reduced_motion="reduce")
    player = page.locator(".motionlab-player")
    page.wait_for_timeout(400)
    assert place(player) == 0
    player.get_by_role("button", name="Play").click()
    page.wait_for_function("() => !document.querySelector('output').innerText.startsWith('frame 0 ')")


def test_two_motions_move_in_step_and_the_shorter_one_waits(show: Opener) -> None:
    """One slider for both. A checksum of each half of the picture tells whether it has changed."""
    long, short = motion("walk"), motion("kick")[:12]
    page = show(player_page([Track("a", long), Track("b", short)], autoplay=False))
    player = page.locator(".motionlab-player")
    assert player.get_by_role("slider").count() == 1 and player.get_by_role("button", name="Play").count() == 1
    half = """(canvas, side) => { const wide = canvas.width / 2, pen = canvas.getContext("2d");
      return [...pen.getImageData(side * wide, 0, wide, canvas.height).data]
        .reduce((sum, x) => (sum * 31 + x) % 1000003, 7); }"""
    seen: dict[str, list[int]] = {"a": [], "b": []}
    for frame in (0, 5, 11, 20, 30):
        player.get_by_role("slider").fill(str(frame))
        for side, name in enumerate(seen):
            seen[name].append(player.locator("canvas").evaluate(half, side))
        ended = player.locator("canvas").get_attribute("data-ended")
        assert ended == ("b" if frame >= len(short) else "")
    assert len(set(seen["a"])) == 5, "the longer one continues"
    assert len(set(seen["b"][:3])) == 3 and seen["b"][3] == seen["b"][4] != seen["b"][2], (
        "the shorter one holds its pose"
    )


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize(("names", "colors"), [(("walk",), ("#ff0000",)), (("walk", "jump"), ("#ff0000", "#0000ff"))])
def test_a_figure_fills_its_frame(show: Opener, names: tuple[str, ...], colors: tuple[str, ...], width: int) -> None:
    """At some moment a figure takes 60 % of its frame, and at none is it cut off. A dense screen gets all its dots."""
    tracks = [Track(name, motion(name), color) for name, color in zip(names, colors, strict=True)]
    page = show(player_page(tracks, autoplay=False), viewport={"width": width, "height": 700}, device_scale_factor=2)
    canvas = page.locator("canvas")
    assert canvas.evaluate("canvas => canvas.width / canvas.clientWidth") == pytest.approx(2, abs=0.01)
    assert canvas.evaluate("canvas => canvas.height / canvas.clientHeight") == pytest.approx(2, abs=0.01)
    found = []
    for frame in range(0, max(len(track.joints) for track in tracks), 4):
        page.get_by_role("slider").fill(str(frame))
        for number, color in enumerate(colors):
            rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
            found.append(page.evaluate(FILLED, [canvas.element_handle(), number, len(colors), rgb]))
    assert all(one["inside"] for one in found) and max(one["share"] for one in found) >= 0.6


def test_a_long_way_does_not_make_the_figure_small(show: Opener) -> None:
    walk = motion("walk")
    step = (walk[-1, 0] - walk[0, 0]) * [1, 0, 1]
    way = np.concatenate([walk + number * step for number in range(12)])  # some fifteen metres
    page = show(player_page([Track("far", way, "#ff0000")], autoplay=False))
    for frame in (0, 200, len(way) - 1):
        page.get_by_role("slider").fill(str(frame))
        filled = page.evaluate(FILLED, [page.locator("canvas").element_handle(), 0, 1, [255, 0, 0]])
        assert filled["inside"] and filled["share"] >= 0.6


def test_a_reader_turns_zooms_and_comes_back(show: Opener) -> None:
    page = show(player_page([Track("real", motion("walk"))], autoplay=False) + "<div style='height: 3000px'></div>")
    player = page.locator(".motionlab-player")
    canvas, back = player.locator("canvas"), player.get_by_role("button", name="Reset view")
    first, box = picture(player), canvas.bounding_box()
    x, y = box["x"] + 100, box["y"] + 100
    assert not back.is_visible()

    def drag() -> None:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y + 10, steps=3)
        page.mouse.up()

    def changed_and_back(undo: Callable[[], None]) -> None:
        assert picture(player) != first
        undo()
        assert picture(player) == first and not back.is_visible()

    drag()
    changed_and_back(back.click)
    drag()
    changed_and_back(canvas.dblclick)
    canvas.press("Shift+ArrowLeft")
    changed_and_back(lambda: canvas.press("0"))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.wait_for_function("([c, old]) => c.toDataURL() !== old", arg=[canvas.element_handle(), first])
    page.keyboard.up("Control")
    assert page.evaluate("scrollY") == 0
    changed_and_back(lambda: canvas.press("0"))
    page.mouse.wheel(0, 300)  # without Ctrl the page scrolls
    page.wait_for_function("() => scrollY > 100")
    assert picture(player) == first


def test_keys_play_and_step(show: Opener) -> None:
    page = show(player_page([Track("real", motion("walk"))], autoplay=False))
    player = page.locator(".motionlab-player")
    canvas = player.locator("canvas")
    page.keyboard.press("Tab")
    assert canvas.evaluate("canvas => document.activeElement === canvas")
    assert canvas.evaluate("canvas => getComputedStyle(canvas).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert place(player) == 1
    page.keyboard.press("Space")
    assert passes(page, player)
    page.keyboard.press("Space")
    assert not passes(page, player)
    assert "real" in (canvas.get_attribute("aria-label") or "")


def test_a_finger_turns_and_two_zoom(show: Opener) -> None:
    """Touch, as the browser reports it: a finger that moves sideways turns; two that part make the body larger."""
    page = show(player_page([Track("real", motion("walk"))], autoplay=False), has_touch=True)
    player = page.locator(".motionlab-player")
    first, box = picture(player), player.locator("canvas").bounding_box()
    x, y = box["x"] + 150, box["y"] + 120
    device = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": a, "y": b, "id": number} for number, (a, b) in enumerate(points)]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (x, y))
    for move in range(10, 80, 10):
        touch("touchMove", (x + move, y))
    touch("touchEnd")
    assert picture(player) != first
    player.get_by_role("button", name="Reset view").click()
    touch("touchStart", (x, y), (x + 40, y))
    for move in range(10, 60, 10):
        touch("touchMove", (x - move, y), (x + 40 + move, y))
    touch("touchEnd")
    assert player.get_by_role("button", name="Reset view").is_visible() and picture(player) != first


def test_without_scripts_there_is_a_picture(show: Opener) -> None:
    html = player_html([Track("real", motion("walk"))], still="<img alt='Moments of: real'>")
    page = show(html, java_script_enabled=False)
    assert page.get_by_role("img").get_attribute("alt") == "Moments of: real"
    assert show(html).locator("img").count() == 0


def test_a_film_plays_while_it_is_seen(show: Opener) -> None:
    film = [np.full((40, 40, 3), 9 * number, np.uint8) for number in range(25)]
    page = show("<p style='height: 3000px'></p>" + robot_player_page(film, fps=20))
    page.wait_for_timeout(300)
    assert page.get_by_text("step 0 of 24").count() == 1
    page.locator("img").scroll_into_view_if_needed()
    page.wait_for_function("() => document.body.innerText.includes('step 3 of 24')")
    page.locator("input").press("Space")
    words = page.locator("body").inner_text()
    page.wait_for_timeout(200)
    assert page.locator("body").inner_text() == words


def test_one_frame_has_nothing_to_play(show: Opener) -> None:
    page = show(player_page([Track("still", motion("walk")[:1])]))
    assert page.get_by_role("button", name="Play").is_disabled() and page.get_by_role("slider").is_disabled()
    assert not page.get_by_role("button", name="Reset view").is_visible()


def test_a_long_label_is_cut_and_not_squeezed(show: Opener) -> None:
    """Captions and names of runs are labels, too. The words that are drawn are as wide as they are by themselves."""
    spy = """<script>const drawn = new Set(), fill = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (words, x, y, most) {
        drawn.add([words, this.measureText(words).width, most]); fill.apply(this, arguments); };</script>"""
    labels = ["<b>name</b> " * 20, "走路" * 40, "real"]
    page = show(spy + player_page([Track(label, motion("walk")) for label in labels], autoplay=False))
    words = page.evaluate("[...drawn].slice(0, 3)")
    wide = page.locator("canvas").evaluate("canvas => canvas.clientWidth") / 3
    assert all(width <= wide - 6 and most is None for _, width, most in words)
    assert [text[-1] for text, _, _ in words[:2]] == ["…", "…"] and words[2][0] == "real"
    assert words[0][0].startswith("<b>name</b> <b>") and words[1][0].startswith("走路")


def test_players_speak_the_language_of_the_reader(show: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the words of the clip, or by those of the page: a saved player is English."""
    film = [np.full((4, 4, 3), number, np.uint8) for number in range(4)]
    tracks = [Track("a", motion("walk")), Track("b", motion("kick")[:12])]
    english = player_html(tracks, autoplay=False)
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    words = json.dumps(clip_data(tracks)["words"])
    for html in (player_html(tracks, autoplay=False), f"<script>window.motionlabWords = {words};</script>{english}"):
        player = show(html).locator(".motionlab-player")
        assert player.locator("output").inner_text() == "帧 0 / 37 0.00 秒"
        assert "骨架：a, b。拖动" in player.locator("canvas").get_attribute("aria-label")
        player.get_by_role("button", name="播放").click()
        player.get_by_role("button", name="暂停").click()
        player.locator("canvas").press("+")
        player.get_by_role("button", name="恢复视角").click()
    page = show(robot_player_page(film, fps=20))
    page.get_by_text("第 3 步，共 3 步").wait_for()
    page.get_by_role("button", name="播放").wait_for()
