"""The report of a run in a browser: its motions, its figures, a reader without scripts. It asks nothing of anyone."""

from __future__ import annotations

from typing import Any

import pytest

from motionlab.jobs.run_folder import Run

pytestmark = pytest.mark.browser


def test_motions_play_and_figures_can_be_explored(offline_context: Any, finished_run: Run) -> None:
    page = offline_context.new_page()
    page.goto((finished_run.folder / "report.html").as_uri())
    players = page.locator(".motionlab-player")
    captions = [one["caption"] for split in finished_run.metrics["generation"].values() for one in split["players"]]
    assert players.count() == len(captions)
    first = players.first
    assert first.get_by_role("slider").count() == 1, "one timeline for real, tokenizers and generated"
    for words in ("real", "FSQ", "generated"):
        assert words in (first.locator("canvas").get_attribute("aria-label") or "")
    first.scroll_into_view_if_needed()
    page.wait_for_function("() => !document.querySelector('output').innerText.startsWith('frame 0 ')")

    figures = page.locator(".motionlab-figure")
    assert figures.count() == 7 and page.evaluate("() => window.Plotly === undefined")
    for number in range(figures.count()):
        figure = figures.nth(number)
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg .trace").first.wait_for(state="attached")
        figure.locator("> svg").wait_for(state="detached")
        box = figure.bounding_box()
        assert box["height"] > 200 and box["x"] + box["width"] <= 1280
    lines = figures.first.locator(".scatterlayer .trace")
    assert lines.count() == 2  # codebook usage of both tokenizers
    figures.first.locator(".legendtoggle").first.click()
    page.wait_for_function("() => document.querySelector('.motionlab-figure').querySelectorAll('.trace').length === 1")
    assert page.evaluate("[document.documentElement.scrollWidth]")[0] <= 1280


def test_without_scripts_there_are_pictures(browser: Any, finished_run: Run) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((finished_run.folder / "report.html").as_uri())
    assert page.locator(".motionlab-figure > svg").count() == 7
    moments = page.locator("img[alt^='Moments of: real, FSQ']")
    assert moments.count() == sum(len(split["players"]) for split in finished_run.metrics["generation"].values())
    assert moments.first.bounding_box()["width"] > 300
    context.close()


def test_a_browser_that_cannot_unpack_keeps_the_pictures(browser: Any, finished_run: Run) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto((finished_run.folder / "report.html").as_uri())
    with page.expect_console_message(lambda message: "The picture stays" in message.text):
        page.locator(".motionlab-figure").first.scroll_into_view_if_needed()
    assert page.locator(".motionlab-figure > svg").count() == 7
    context.close()


def test_on_paper_no_table_is_cut(browser: Any, finished_run: Run) -> None:
    """On the screen a wide table scrolls; a sheet of A4 has 718 pixels, and nothing can be scrolled there."""
    context = browser.new_context(viewport={"width": 718, "height": 1000})
    page = context.new_page()
    page.goto((finished_run.folder / "report.html").as_uri())
    cut = "[...document.querySelectorAll('.wide')].filter((one) => one.scrollWidth > one.clientWidth).length"
    assert page.evaluate(cut) > 0
    page.emulate_media(media="print")
    assert page.evaluate(cut) == 0 and page.evaluate("document.documentElement.scrollWidth") <= 718
    context.close()
