"""A reader's first minutes, in a real browser: open lessons in JupyterLab, move a slider, drag a code, play a motion.

Run with `make test-browser`. Nothing may be asked from another machine, and the console must stay free of errors.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from motionlab.plots.player import Track, player_page
from motionlab.plots.robot_player import robot_player_page
from motionlab.runtime import lab_environment
from motionlab.views.codebook import ON_THE_DATA, compute_plane
from motionlab.widgets.fitting import HEIGHT, OUTER
from motionlab.widgets.quantizer_panel import QuantizerPanel

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MINUTE = 60_000  # milliseconds; generous, because the machine may be busy
# Notebooks with every panel, and their languages. tests/widgets/test_panel.py holds the list against the classes.
GALLERIES = {"gallery.ipynb": "en", "gallery_zh.ipynb": "zh"}
PANELS = (
    "ml.QuantizerPanel()", "ml.FeaturePanel()", "ml.CodebookPanel()", "ml.LevelsPanel()", "ml.MemoryPanel()",
    "ml.AblationPanel('results/tokenizer_ablation.jsonl')", "ml.RopePanel()", "ml.KVCachePanel()", "ml.MaskPanel()",
    "ml.StrategyPanel()", "ml.LossScalePanel('results/mixed_precision.json')", "ml.SchedulePanel()",
    "ml.ShardingPanel()", "ml.TrainingPanel('nothing yet')", "ml.DecoderTrainingPanel('nothing yet')",
    "ml.PolicyPanel(ml.views.load_policies('results/vla_ablation.json'))", "ml.MotionPanel(ml.pretrained_run())",
    "ml.GenerationPanel(ml.pretrained_run(), 'a person kicks')", "FieldPanel()", "PitfallPanel()", "ml.GlossaryPanel()",
    "reaction_panel()", "parts_panel()", "ml.confidence('05', 'before')",
)  # fmt: skip


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that remembers what went wrong and where it asked for something."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(2 * MINUTE)
    opened.problems = []
    opened.on("console", lambda message: message.type == "error" and opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on(
        "request",
        lambda request: local(request.url) or opened.problems.append(f"asked {request.url}"),
    )
    yield opened
    folder = os.environ.get("MOTIONLAB_SCREENSHOTS")  # for a person who wants to look
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        opened.screenshot(
            path=str(Path(folder) / f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[1].split(' ')[0]}.png")
        )
    context.close()


def local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "file://", "data:", "blob:", "about:"))


@pytest.fixture(scope="module")
def lab(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab with its own settings on a free port, over a copy of the lessons; gives its address."""
    home = tmp_path_factory.mktemp("lab")
    lessons = home / "notebooks"
    shutil.copytree(root / "notebooks", lessons, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
    for name, spoken in GALLERIES.items():
        write_gallery(lessons / name, spoken)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **lab_environment(lessons),  # as `motionlab lab` starts it
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(root)])),
        "MOTIONLAB_PROFILE": "ci",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={lessons}"]
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    log = home / "lab.log"
    with open(log, "w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server, log)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2)
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def write_gallery(path: Path, spoken: str) -> None:
    """A notebook with one panel to a cell."""
    first = f"import os\nos.environ['MOTIONLAB_LANG'] = '{spoken}'\n"
    first += "import motionlab as ml\nfrom lessons.build_the_tokenizer.panel import FieldPanel\n"
    first += "from lessons.pitfalls.panel import PitfallPanel\n"
    first += "from tests.notebooks.panels import parts_panel, reaction_panel"
    last = "ml.plots.explore(ml.plots.usage_figure({'FSQ': [5, 3, 2], 'VQ': [6, 4]}))"
    cells = [nbformat.v4.new_code_cell(source) for source in (first, *PANELS, last)]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def open_lesson(page: Any, lab: str, name: str, root: Path, last: str) -> None:
    """Open a lesson and run its cells up to the one whose source holds `last`."""
    # Its own workspace: Lab would open the lessons of earlier tests again, in front of or behind this one.
    page.goto(f"{lab}/lab/workspaces/{Path(name).stem}/tree/{name}")
    # "Run" before the kernel is ready opens a dialog that asks which kernel to use, and waits forever.
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for()
    cells = nbformat.read(root / "notebooks" / name, as_version=4).cells
    count = 1 + next(i for i, cell in enumerate(cells) if cell.cell_type == "code" and last in cell.source)
    page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in range(count):
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(60)  # Lab moves to the next cell after the key, not during it


MEASURE = """panel => {
  const box = panel.getBoundingClientRect(), picture = panel.querySelector("img");
  const sharp = picture && picture.clientWidth ? picture.naturalWidth / picture.clientWidth : null;
  const shape = picture && picture.clientWidth
    ? (picture.naturalWidth / picture.naturalHeight) / (picture.clientWidth / picture.clientHeight) : null;
  return {width: box.width, height: box.height, over: panel.scrollWidth - panel.clientWidth, sharp, shape};
}"""


@pytest.mark.parametrize("gallery", GALLERIES)
def test_every_panel_fits_a_laptop(page: Any, lab: str, gallery: str) -> None:
    """All of a panel is in sight at once, and its picture has two dots for each pixel of the page, not stretched."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{lab}/lab/workspaces/{Path(gallery).stem}/tree/{gallery}")
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for()
    page.locator(".jp-Notebook .jp-Cell").first.click()
    found: dict[str, dict[str, Any]] = {}
    page.keyboard.press("Shift+Enter")
    for number, source in enumerate(PANELS, start=1):
        page.keyboard.press("Shift+Enter")
        panel = (
            page.locator(f".jp-Notebook .jp-Cell >> nth={number}").locator(".jp-OutputArea-output .widget-vbox").first
        )
        panel.wait_for()
        page.wait_for_timeout(300)  # the picture is decoded after the box is there
        found[source] = panel.evaluate(MEASURE)
        if folder := os.environ.get("MOTIONLAB_SCREENSHOTS"):  # for a person who wants to look
            panel.screenshot(path=str(Path(folder) / f"panel-{GALLERIES[gallery]}-{number:02}.png"))
    page.keyboard.press("Shift+Enter")  # the last cell: a figure to explore, drawn without asking another machine
    # Plotly shows the picture until the mouse comes, and where that is depends on how far the notebook is scrolled.
    page.locator(".jp-RenderedPlotly img").dispatch_event("mouseenter")
    lines = page.locator(".js-plotly-plot .scatterlayer .trace")
    lines.nth(1).wait_for()
    page.locator(".js-plotly-plot .legendtoggle").first.click()  # not below the buttons that appear with the mouse
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length === 1")
    tall = {source: size for source, size in found.items() if size["height"] > HEIGHT or size["width"] > OUTER}
    assert tall == {}
    assert found["ml.confidence('05', 'before')"]["height"] <= 120  # it is there twice
    assert {source: size for source, size in found.items() if size["over"] > 0} == {}
    pictures = {source: size for source, size in found.items() if size["sharp"] is not None}
    assert len(pictures) >= 15
    assert {source: size for source, size in pictures.items() if not 1.98 <= size["sharp"] <= 2.02} == {}
    assert {source: size for source, size in pictures.items() if not 0.99 <= size["shape"] <= 1.01} == {}
    assert page.problems == []


def test_no_window_asks_for_news(page: Any, lab: str, root: Path) -> None:
    """Lab asks once for each user, over the first lesson, unless its settings say no; this is a new user."""
    open_lesson(page, lab, "00_start_here.ipynb", root, "ml.setup(")
    page.get_by_text("lesson 00 · seed 0").first.wait_for()
    page.wait_for_timeout(3000)  # the window would come a moment after the page
    assert page.locator(".jp-Notification-Toast, .jp-toastContainer .Toastify__toast").count() == 0
    assert page.get_by_text("Jupyter news").count() == 0
    assert page.problems == []


def test_the_slider_of_lesson_03_changes_the_text(page: Any, lab: str, root: Path) -> None:
    open_lesson(page, lab, "03_fsq_vs_vq_vae.ipynb", root, "ml.QuantizerPanel()")
    summary = page.locator(".motionlab-summary").first
    summary.wait_for()
    assert summary.inner_text().startswith("25 codes each")
    picture = page.locator(".jp-OutputArea .widget-image").first
    before = picture.get_attribute("src")

    handle = page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    page.keyboard.press("ArrowRight")
    summary.filter(has_text="36 codes each").wait_for()
    assert picture.get_attribute("src") != before

    page.get_by_role("button", name="rescued").first.click()
    rescued = QuantizerPanel.compute(**QuantizerPanel.PRESETS["rescued"])
    # In the summary of this panel: a saved output further down may show the same text already.
    summary.filter(has_text=f"49 codes each | FSQ uses {rescued.fsq_usage.used}, perplexity").wait_for()
    assert f"VQ uses {rescued.vq_usage.used}," in summary.inner_text()
    assert page.problems == []


def test_the_text_of_lesson_05_follows_a_slider_while_it_is_dragged(page: Any, lab: str, root: Path) -> None:
    open_lesson(page, lab, "05_rope.ipynb", root, "ml.RopePanel()")
    summary = page.locator(".motionlab-summary").first
    summary.wait_for()
    before = summary.inner_text()
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    place = handle.bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=6)
    summary.filter(has_not_text=before).wait_for()  # it is not released yet
    page.mouse.up()
    assert page.problems == []


def test_dragging_a_code_of_lesson_02_changes_the_text(page: Any, lab: str, root: Path) -> None:
    open_lesson(page, lab, "02_vq_vae.ipynb", root, "ml.CodebookPanel()")
    canvas = page.locator(".motionlab-codebook").first
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    text = page.locator(".motionlab-summary").first
    assert text.inner_text().startswith("12 of 12 codes used")

    def pixel(place: list[float]) -> tuple[float, float]:
        """Where a place of the plane, -4 to 4, is on the page."""
        box = canvas.bounding_box()
        x, y = place
        return box["x"] + box["width"] * (x + 4) / 8, box["y"] + box["height"] * (4 - y) / 8

    def drag(start: list[float], end: list[float]) -> None:
        page.mouse.move(*pixel(start))
        page.mouse.down()
        page.mouse.move(*pixel(end), steps=8)
        page.mouse.up()

    codes = [list(code) for code in ON_THE_DATA]
    before = pixels(page)
    drag(codes[11], [3.5, -3.5])
    page.get_by_text("11 of 12 codes used").first.wait_for()  # counted by Python
    assert pixels(page) != before

    codes[11] = [3.5, -3.5]
    drawn = [int(count) for count in canvas.get_attribute("data-hits").split()]  # counted by the page
    assert drawn == compute_plane(codes).hits.tolist() and drawn[11] == 0

    drag([-2.2, 0.6], codes[8])  # the diamond, onto another code
    page.get_by_text("diamond: token 8").first.wait_for()
    page.get_by_role("button", name="20 steps").first.click()  # nothing pulls a dead code
    page.wait_for_function("canvas => canvas.dataset.hits.endsWith(' 0')", arg=canvas.element_handle())
    page.get_by_role("button", name="rescue", exact=True).first.click()
    page.get_by_text("12 of 12 codes used").first.wait_for()
    page.wait_for_function("canvas => !canvas.dataset.hits.split(' ').includes('0')", arg=canvas.element_handle())

    page.get_by_role("button", name="reset").first.click()
    page.wait_for_function("canvas => canvas.ariaLabel.includes('token 5')", arg=canvas.element_handle())
    canvas.click(position={"x": 0.225 * canvas.bounding_box()["width"], "y": 0.425 * canvas.bounding_box()["height"]})
    for _ in range(18):  # the diamond is held: arrow keys walk it over a border
        page.keyboard.press("ArrowRight")
    page.get_by_text("diamond: token").filter(has_not_text="diamond: token 5").first.wait_for()
    assert page.problems == []


def test_the_player_of_lesson_00_plays_and_tells_python(page: Any, lab: str, root: Path) -> None:
    open_lesson(page, lab, "00_start_here.ipynb", root, "player.frame = 20")
    page.get_by_text("frame 20 /").first.wait_for()  # set from Python: it stands there, and the other one plays
    players = page.locator(".motionlab-player").all()
    (player,) = (player for player in players if "frame 20 /" in player.inner_text())
    player.scroll_into_view_if_needed()
    check_playing(page, player)
    assert page.problems == []


def test_another_sentence_moves_the_figures_of_lesson_00(page: Any, lab: str, root: Path) -> None:
    """The panel fits on a laptop's page; a new sentence and more motions redraw the player, which keeps playing."""
    open_lesson(page, lab, "00_start_here.ipynb", root, "ml.MotionPanel(")
    words = page.locator(".jp-OutputArea .widget-combobox input, .jp-OutputArea input[list]").first
    words.wait_for(timeout=60_000)
    words.scroll_into_view_if_needed()
    player = page.locator(".motionlab-player").last
    player.wait_for()
    page.get_by_role("button", name="Pause").last.wait_for()  # it plays
    words.fill("a person jumps")
    words.press("Enter")
    player.get_by_text("a person jumps").wait_for()
    page.get_by_role("button", name="three of them").first.click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.motionlab-player canvas')].at(-1).ariaLabel.includes('3: ')"
    )
    page.get_by_role("button", name="Pause").last.wait_for()
    panel = page.locator(".jp-OutputArea .widget-vbox").filter(has=player).first
    assert panel.bounding_box()["height"] <= 560
    assert page.problems == []


def test_a_written_page_plays_without_a_server(page: Any, tmp_path: Path) -> None:
    joints = np.zeros((40, 22, 3))
    joints[..., 1] = np.linspace(0, 1.7, 22)
    joints[..., 2] = np.linspace(0, 1, 40)[:, None]
    path = tmp_path / "motion.html"
    path.write_text(player_page([Track("real", joints), Track("short", joints[:10])], "walks", autoplay=False))
    page.goto(path.as_uri())
    player = page.locator(".motionlab-player")
    before = pixels(page)
    check_playing(page, player)
    assert pixels(page) != before
    slider = player.get_by_role("slider")
    slider.fill("7")
    assert "frame 7 / 39" in player.locator("output").inner_text()

    box = player.locator("canvas").bounding_box()
    before = pixels(page)
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 120)
    page.mouse.up()
    turned = pixels(page)
    assert turned != before
    player.locator("canvas").dblclick()
    assert pixels(page) == before
    player.locator("canvas").press("ArrowRight")
    assert "frame 8 / 39" in player.locator("output").inner_text()
    assert page.problems == []


def check_playing(page: Any, player: Any) -> None:
    """Play moves the frame, Pause stops it."""
    clock = player.locator("output")
    first = clock.inner_text()
    player.get_by_role("button", name="Play").click()
    page.wait_for_function("([node, text]) => node.innerText !== text", arg=[clock.element_handle(), first])
    player.get_by_role("button", name="Pause").click()
    stopped = clock.inner_text()
    page.wait_for_timeout(300)
    assert clock.inner_text() == stopped
    player.get_by_role("button", name="Play").wait_for()


def pixels(page: Any) -> str:
    return str(page.locator("canvas").first.evaluate("canvas => canvas.toDataURL()"))


def test_a_reader_stops_a_robot_at_a_step(page: Any, tmp_path: Path) -> None:
    """An episode's page: the slider chooses picture and action, play continues to the end, nothing else is asked.

    For a reader who asks for reduced motion: for all others it plays at once, and a picture is gone before it is read.
    """
    pictures = [np.full((8, 16, 3), 20 * number, np.uint8) for number in range(5)]
    actions = np.zeros((4, 7))
    actions[:, 0], actions[:, 6] = [0.1, 0.2, 0.3, 0.4], [-1, -1, 1, 1]
    path = tmp_path / "film.html"
    path.write_text(robot_player_page(pictures, actions, "pick up <the> cube", fps=20), encoding="utf-8")
    page.emulate_media(reduced_motion="reduce")
    page.goto(path.as_uri())
    page.get_by_text("pick up <the> cube").wait_for()
    page.get_by_text("step 0 of 4").wait_for()
    shown = page.locator("img").get_attribute("src")
    page.locator("input").fill("2")
    page.get_by_text("step 2 of 4").wait_for()
    assert "dx +0.30" in page.inner_text("body") and "gripper close" in page.inner_text("body")
    assert page.locator("img").get_attribute("src") != shown
    page.get_by_role("button", name="Play").click()
    page.get_by_text("step 4 of 4").wait_for()
    page.get_by_role("button", name="Play").wait_for()  # it has stopped by itself
    assert page.problems == []


def test_the_panel_of_lesson_17_finds_a_term_while_one_types(page: Any, lab: str, root: Path) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    open_lesson(page, lab, "17_glossary.ipynb", root, "ml.GlossaryPanel()")
    boxes = page.locator(".jp-OutputArea-output .widget-vbox")  # the first one is the question of the lesson
    panel = boxes.filter(has=page.get_by_placeholder("mask")).first
    panel.get_by_placeholder("mask").type("softm")  # no key that ends the search
    panel.locator(".motionlab-summary").filter(has_text="softmax 归一化指数函数").wait_for()
    panel.get_by_placeholder("mask").fill("")
    panel.locator(".motionlab-term").nth(100).wait_for()  # all terms again
    box = panel.bounding_box()
    assert box is not None and box["width"] <= 779 and box["height"] <= 560, "it fits a laptop, with its own scroll bar"
    assert panel.locator("a[href='05_rope.ipynb']").count() > 1
    assert page.problems == []
