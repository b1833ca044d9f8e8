"""The page of latents in Chromium: what a pointer or a key does to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.browser import CHROMIUM, Browser
from tests.evaluation.latent_page_cases import Tiles, content_of, eight_bits
from torchdisentangle import evaluate
from torchdisentangle.evaluation import DisentanglementEvaluation, ManifoldEvaluation

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.xdist_group("browser"),
]
NAME = "<i>size</i>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


def written(model: Tiles, path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, model.channels, model.side, model.side, generator=generator)
    loader = DataLoader(TensorDataset(images, torch.arange(80).reshape(40, 2) // 2 % 3), 20)
    scores = DisentanglementEvaluation(["mutual_information"], factor_names=["colour", NAME])
    return evaluate(model, loader, ["latents", ManifoldEvaluation(num_samples=8), scores]).save_page(path)


@pytest.fixture(scope="module")
def model() -> Tiles:
    torch.manual_seed(0)
    return Tiles(channels=3)


@pytest.fixture(scope="module")
def page(model: Tiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(model, tmp_path_factory.mktemp("page") / "latents.html")


@pytest.fixture(scope="module")
def start(model: Tiles) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return model.encode(torch.rand(40, 3, 8, 8, generator=generator)[:1])[0].detach()


def picture(browser: Browser, canvas: str = "byId('picture')") -> np.ndarray:
    """The pixels of a canvas, ``(H, W, 3)``."""
    pixels = "(one => [one.height, one.width, ...one.getContext('2d').getImageData(0, 0, one.width, one.height).data])"
    height, width, *values = browser.evaluate(f"{pixels}({canvas})")
    return np.array(values, dtype=np.uint8).reshape(height, width, 4)[..., :3]


def decoded(model: Tiles, start: torch.Tensor, **moved: float) -> np.ndarray:
    z = start.clone()
    for latent, value in moved.items():
        z[0, int(latent[1:])] = value
    return eight_bits(model.decode(z)[0].detach())


def slider(content: dict, latent: int) -> str:
    return f"items[{content['latents'].index(latent)}].slider"


def test_dragging_a_latent_shows_what_it_does(browser: Browser, page: Path, model: Tiles, start: torch.Tensor) -> None:
    content = content_of(page.read_text())
    browser.open(page)
    assert (picture(browser) == decoded(model, start)).all()
    assert browser.text("#caption") == "The start: the code of the first datum."
    for latent in (2, 0):
        x, y = browser.middle(slider(content, latent))
        width = browser.evaluate(f"{slider(content, latent)}.clientWidth")
        rest = browser.evaluate(f"{slider(content, latent)}.valueAsNumber")
        knob = x + (rest / 8 - 0.5) * (width - 16)  # a knob of 16 pixels stays inside
        browser.drag((knob, y), (x + width, y))
        assert (picture(browser) == decoded(model, start, **{f"z{latent}": 2.0})).all()
        assert browser.text("#caption") == f"latent {latent} at +2 standard deviations, the others at the start."
        moved = browser.evaluate(
            "items.filter(one => one.slider.value === '8').map(one => one.innerText.split('\\n')[0])"
        )
        assert moved == [f"latent {latent}"]  # the one that was moved before is back
    browser.key("ArrowLeft", 37)
    assert (picture(browser) == decoded(model, start, z0=1.5)).all()
    browser.drag(*[browser.middle("byId('back')")] * 2)
    assert (picture(browser) == decoded(model, start)).all()


def test_pointing_at_a_cell_shows_the_pair(browser: Browser, page: Path, model: Tiles, start: torch.Tensor) -> None:
    content = content_of(page.read_text())
    browser.open(page)
    row, column = content["latents"].index(3), content["latents"].index(0)
    value = content["matrices"][0]["values"][row][column]
    assert value > 0.01  # the last latent and the first share a tile

    def point(row: int, column: int) -> tuple[float, float]:
        browser.middle("byId('heat')")
        x, y = browser.evaluate("(box => [box.x, box.y])(byId('heat').getBoundingClientRect())")
        left, top, width, height = browser.evaluate("[geometry.left, geometry.top, geometry.width, geometry.height]")
        return x + left + (column + 0.5) * width, y + top + (row + 0.5) * height

    browser.pointer("Moved", *point(row, column))
    assert browser.text("#pair h3") == "latent 3 and latent 0"
    assert f"MPMI of latents: {value:.3f}" in browser.text("#pair")
    captions = browser.evaluate("[...document.querySelectorAll('#pair figcaption')].map(one => one.innerText)")
    assert captions[:2] == ["latent 3, in standard deviations", "latent 0, in standard deviations"]
    assert captions[2] == "Both moved: latent 3 from top to bottom, latent 0 from left to right"
    strip = picture(browser, "document.querySelectorAll('#pair canvas.strip')[1]")
    assert strip.shape == (8, 9 * 9 - 1, 3)  # a line between pictures
    assert (strip[:, 9:17] == decoded(model, start, z0=-1.5)).all()
    grid = picture(browser, "document.querySelector('#pair canvas.grid')")
    assert (grid[9:17, 36:44] == decoded(model, start, z3=-1.0, z0=2.0)).all()
    browser.drag(*[point(row, column)] * 2)  # a click holds the cell
    browser.pointer("Moved", *point(row, row))
    assert browser.text("#pair h3") == "latent 3 and latent 0"
    browser.drag(*[point(row, row)] * 2)
    assert browser.text("#pair h3") == "latent 3"


def test_keys_walk_through_latents_and_factors(browser: Browser, page: Path) -> None:
    content = content_of(page.read_text())
    browser.open(page, "#matrix=1&row=2&column=0")
    assert browser.text("#pair h3") == "latent 2 and colour"
    browser.evaluate("byId('heat').focus()")
    browser.key("ArrowRight", 39)
    assert browser.text("#pair h3") == f"latent 2 and {NAME}"
    assert browser.evaluate("document.querySelectorAll('#pair i').length") == 0
    row = content["latents"].index(2)
    values = content["matrices"][1]["values"]
    assert f"{values[row][1]:.3f}" in browser.text("#pair .bars")
    best, second = sorted((line[1] for line in values), reverse=True)[:2]
    assert f"The best two differ by {best - second:.3f}." in browser.text("#pair")
    assert browser.evaluate("location.hash") == "#matrix=1&row=2&column=1"


def test_latents_are_sorted_as_one_asks(browser: Browser, page: Path) -> None:
    content = content_of(page.read_text())
    browser.open(page)
    labels = "[...document.querySelectorAll('#latents label')].map(one => one.firstChild.data)"
    assert browser.evaluate(labels) == [f"latent {latent}" for latent in content["latents"]]
    browser.evaluate("byId('order').value = 1, byId('order').dispatchEvent(new Event('change'))")
    assert browser.evaluate(labels) == [f"latent {latent}" for latent in range(4)]
    assert browser.evaluate("geometry.names") == ["0", "1", "2", "3"]


@pytest.mark.parametrize("dark", [False, True])
def test_many_latents_fit_into_a_narrow_window(browser: Browser, tmp_path: Path, dark: bool) -> None:
    page = written(Tiles(latent_dim=64, side=16), tmp_path / "many.html")
    browser.open(page, "#matrix=0&row=63&column=0", width=420, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 420
    assert browser.text("#pair h3") == "latent 63 and latent 0"
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(ground) < 60) if dark else (min(ground) > 200)
