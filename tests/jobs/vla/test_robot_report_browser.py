"""The report of the robot half in a browser: its films, its figures, a reader without scripts."""

from __future__ import annotations

from typing import Any

import pytest

from motionlab.jobs.run_folder import Run

pytestmark = pytest.mark.browser


def test_a_film_plays_and_figures_can_be_explored(offline_context: Any, robot_run: Run) -> None:
    page = offline_context.new_page()
    page.goto((robot_run.folder / "report.html").as_uri())
    films = page.locator("iframe")
    assert films.count() == len(robot_run.metrics["vla"]["films"]) > 0
    film = films.first.content_frame
    films.first.scroll_into_view_if_needed()
    end = film.locator("input").get_attribute("max")
    film.get_by_text(f"step {end} of {end}").wait_for()  # nobody has pressed anything
    figures = page.locator(".motionlab-figure")
    assert figures.count() == 4  # parameters, the losses of both stages, the error of the policy
    for number in range(figures.count()):
        figure = figures.nth(number)
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg .trace").first.wait_for(state="attached")
    assert figures.first.locator(".barlayer .trace").count() == 2  # trained and frozen


def test_without_scripts_a_film_is_a_moving_picture(browser: Any, robot_run: Run) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((robot_run.folder / "report.html").as_uri())
    picture = page.locator("img[src^='data:image/gif']").first
    assert picture.is_visible() and picture.bounding_box()["width"] > 100
    assert not page.locator("iframe").first.is_visible()
    assert page.locator(".motionlab-figure > svg").count() == 4
    context.close()
