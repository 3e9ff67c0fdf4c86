"""Three pages in a real browser, on a phone and on a desk, with every request to another machine refused."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
SIZES = ((390, 844), (1440, 900))
PAGES = ("index.html", "zh/index.html", "notebooks/00_start_here.html", "notebooks/05_rope.html")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(built))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(params=SIZES, ids=["phone", "desk"])
def page(request: Any, browser: Any, address: str) -> Iterator[Any]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.problems = []
    opened.on("console", lambda message: message.type == "error" and opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))

    def judge(route: Any) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            opened.problems.append(f"asked {route.request.url}")
            route.abort()

    context.route("**/*", judge)
    yield opened
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(page: Any, address: str, name: str) -> None:
    page.goto(f"{address}/{name}")
    page.wait_for_load_state("networkidle")
    page.locator("article h1").first.wait_for()
    size = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert size[0] <= size[1], "the page scrolls sideways"
    pictures = page.locator("article img")
    assert pictures.count() >= 1
    for i in range(pictures.count()):
        pictures.nth(i).scroll_into_view_if_needed()
        assert pictures.nth(i).evaluate("img => img.decode().then(() => img.naturalWidth)") > 50
        assert pictures.nth(i).bounding_box()["width"] > 50
    assert page.problems == []


def test_no_page_scrolls_sideways_on_a_phone(browser: Any, address: str, built: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    wide = {}
    for path in sorted(built.rglob("*.html")):
        page.goto(f"{address}/{path.relative_to(built).as_posix()}", wait_until="load")
        size = page.evaluate("document.documentElement.scrollWidth")
        if size > 390:
            wide[path.name] = size
    context.close()
    assert wide == {}


def test_the_link_to_the_other_language_is_in_the_row_of_buttons(page: Any, address: str) -> None:
    page.goto(f"{address}/notebooks/05_rope.html")
    link, bar = page.locator(".site-language"), page.locator(".header-article__inner")
    box, around = link.bounding_box(), bar.bounding_box()
    assert around["y"] <= box["y"] and box["y"] + box["height"] <= around["y"] + around["height"] + 1
    link.click()
    assert page.url.endswith("/notebooks/zh/05_rope.html")


def test_the_first_use_of_a_term_leads_to_its_line_in_the_glossary(page: Any, address: str) -> None:
    page.goto(f"{address}/notebooks/05_rope.html")
    term = page.locator("a.site-term[href$='#term-rope']")
    assert "position" in term.get_attribute("title")
    term.click()
    assert page.url.endswith("/glossary.html#term-rope")
    page.locator("#term-rope").wait_for()


def test_formulas_are_seen(page: Any, address: str) -> None:
    page.goto(f"{address}/notebooks/05_rope.html")
    formulas = page.locator("svg.formula")
    assert formulas.count() > 20
    sizes = formulas.evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().height, parseFloat(getComputedStyle(one).fontSize)])"
    )
    assert all(0.4 * font < height < 5 * font for height, font in sizes)
    assert page.problems == []


def test_a_motion_plays_without_a_kernel(page: Any, address: str) -> None:
    page.goto(f"{address}/notebooks/00_start_here.html")
    players = page.locator(".motionlab-player")
    assert players.count() >= 2
    for i in range(players.count()):
        player = players.nth(i)
        player.scroll_into_view_if_needed()
        clock = player.locator("output")
        before = clock.inner_text()
        if player.get_by_role("button", name="Play").count():
            player.get_by_role("button", name="Play").click()
        page.wait_for_function("([node, text]) => node.innerText !== text", arg=[clock.element_handle(), before])
        assert player.bounding_box()["width"] <= page.viewport_size["width"]
    assert page.problems == []
