"""The interactive page of latents: what it holds is what the decoder decodes and what the report says."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.evaluation.latent_page_cases import Tiles, content_of, eight_bits, page_of, pixels
from tests.helpers import RunProcesses
from torchdisentangle import Report, evaluate
from torchdisentangle.evaluation import DisentanglementEvaluation, ManifoldEvaluation, TraversalEvaluation
from torchdisentangle.evaluation.latent_moves import MOST_LATENTS, MOST_PAIRS, related
from torchdisentangle.evaluation.latent_page import render
from torchdisentangle.evaluation.traversal import center
from torchdisentangle.models import as_latent_model

MATRICES = [ManifoldEvaluation(num_samples=8), DisentanglementEvaluation(["mutual_information", "sap"])]


def data(model: Tiles, rows: int = 20) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(rows, model.channels, model.side, model.side, generator=generator)
    return DataLoader(TensorDataset(images, torch.arange(2 * rows).reshape(rows, 2) // 2 % 3), 10)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_the_decoders_to_eight_bits(channels: int) -> None:
    model = Tiles(channels=channels)
    loader = data(model)
    content = content_of(page_of(evaluate(model, loader, [TraversalEvaluation(num_steps=5)])))
    start = model.encode(next(iter(loader))[0][:1])[0].detach()

    def decoded(**moved: float) -> np.ndarray:
        z = start.clone()
        for latent, value in moved.items():
            z[0, int(latent[1:])] = value
        return eight_bits(model.decode(z)[0].detach())

    assert sorted(content["latents"]) == [0, 1, 2, 3]
    assert content["startValues"] == pytest.approx(start[0, content["latents"]].tolist(), rel=1e-3)  # four digits
    assert (pixels(content["base"]) == decoded()).all()
    for latent, strip in zip(content["latents"], content["strips"], strict=True):
        values = content["values"]
        assert values == [-2, -1, 0, 1, 2]
        expected = [decoded(**{f"z{latent}": value}) for value in values]
        assert (pixels(strip) == np.concatenate(expected, axis=1)).all()
    assert sorted(map(tuple, content["pairs"])) == list(combinations(range(4), 2))
    for (first, second), grid in zip(content["pairs"], content["grids"], strict=True):
        moves = [[{f"z{first}": a, f"z{second}": b} for b in (-2, -1, 0, 1, 2)] for a in (-2, -1, 0, 1, 2)]
        rows = [np.concatenate([decoded(**move) for move in row], axis=1) for row in moves]
        assert (pixels(grid) == np.concatenate(rows, axis=0)).all()


def test_matrices_are_those_of_the_report() -> None:
    model = Tiles()
    report = evaluate(model, data(model), ["latents", "elbo", *MATRICES])
    content = content_of(page_of(report))
    order = content["latents"]
    of_latents, *of_factors = content["matrices"]
    expected = report.matrices["manifold/pairwise"][order][:, order]
    torch.testing.assert_close(torch.tensor(of_latents["values"]), expected.float(), rtol=1e-3, atol=1e-6)
    assert [one["label"].partition(" of ")[0] for one in of_factors] == ["mutual information", "sap"]
    for name, one in zip(["mutual_information", "sap_matrix"], of_factors, strict=True):
        assert one["factors"] == ["factor 0", "factor 1"]
        found = torch.tensor(one["values"])
        torch.testing.assert_close(found, report.matrices[f"disentanglement/{name}"][order].float(), rtol=1e-3, atol=0)
    columns = {column["label"]: column["values"] for column in content["columns"]}
    expected = report.matrices["elbo/latent_kl"][order]
    assert columns["KL divergence"] == pytest.approx(expected.tolist(), rel=1e-3)
    assert columns.keys() == {"manifold entropy", "KL divergence"}
    assert content_of(page_of(evaluate(model, data(model), ["latents"])))["matrices"] == []


def test_names_are_escaped_and_no_number_breaks_the_page() -> None:
    name = "</script><script>alert(1)</script>"
    report = evaluate(Tiles(), data(Tiles()), ["latents", DisentanglementEvaluation(["sap"], factor_names=[name, "b"])])
    matrix = report.matrices["disentanglement/sap_matrix"]
    matrix[0, 0], matrix[1, 1] = torch.nan, torch.inf
    html = page_of(report)
    assert name not in html
    assert html.count("</script>") == 2
    (shown,) = content_of(html)["matrices"]
    assert shown["factors"] == [name, "b"]
    values = dict(zip(content_of(html)["latents"], shown["values"], strict=True))
    assert values[0][0] is None
    assert values[1][1] is None
    assert all(link not in html for link in ("http:", "https:", "src=", "url(", "@import"))


class Broken(nn.Module):
    latent_dim = 2

    def decode(self, z: Tensor) -> Tensor:
        return torch.where(z[:, :1, None, None] > 1, torch.nan, 0.25 * z[:, 1, None, None, None].expand(-1, 1, 4, 4))


def test_decodings_that_are_not_finite_are_black_and_said() -> None:
    content = content_of(page_of(evaluate(Broken(), None, ["latents"])))
    strip = pixels(content["strips"][content["latents"].index(0)])
    assert (strip[:, -4:] == 0).all()
    assert "7 of the decoded data hold numbers that are not finite." in content["notes"]  # 2 of a strip, 5 of the grid
    assert "Black is -0.5 and white 0.5." in content["notes"]


@pytest.mark.parametrize(("entries", "kind", "shown"), [(2, "points", 2), (300, "curves", 100)])
def test_data_that_are_no_images_are_numbers(entries: int, kind: str, shown: int) -> None:
    class Line(nn.Module):
        latent_dim = 2

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, entries)

        def decode(self, z: Tensor) -> Tensor:
            return self.linear(z)

    torch.manual_seed(0)
    model = Line()
    content = content_of(page_of(evaluate(model, None, [TraversalEvaluation(num_steps=3, span=1.0)])))
    assert content["kind"] == kind
    thin = slice(None, None, entries // shown)
    for latent, strip in zip(content["latents"], content["strips"], strict=True):
        z = torch.tensor([-1.0, 0.0, 1.0])[:, None] * torch.eye(2)[latent]
        torch.testing.assert_close(torch.tensor(strip), model.decode(z).detach()[:, thin], rtol=1e-3, atol=1e-5)
    values = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    grid = model.decode(torch.cartesian_prod(values, values)).detach()[:, thin].reshape(5, 5, shown)
    torch.testing.assert_close(torch.tensor(content["grids"][0]), grid, rtol=1e-3, atol=1e-5)


def test_pairs_that_are_shown_share_most() -> None:
    """Of a linear decoder, whose pairwise mutual information is known from the angles of its columns."""
    torch.manual_seed(0)
    model = Tiles(latent_dim=12)
    model.pattern.data = torch.randn_like(model.pattern)
    columns = nn.functional.normalize(model.pattern.detach())
    alike = (columns @ columns.T).abs()
    best = sorted(combinations(range(12), 2), key=lambda pair: -float(alike[pair]))[:7]
    start = center(as_latent_model(model))
    order = torch.randperm(12).tolist()
    with torch.no_grad():
        assert related(start, order, 7) == best
        assert related(start, order, 66) == list(combinations(range(12), 2))


class Noise(nn.Module):
    """Nothing is harder to compress."""

    latent_dim = MOST_LATENTS + 6

    def decode(self, z: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(len(z), 3, 96, 96, generator=generator) + 1e-3 * z[:, :1, None, None]


def test_a_page_is_never_large() -> None:
    html = page_of(evaluate(Noise(), None, ["latents"]))
    content = content_of(html)
    assert len(content["strips"]) == MOST_LATENTS
    assert len(content["grids"]) == MOST_PAIRS
    assert len(html) < 1.05 * 2 * 3 * 2**20 * 4 / 3  # two times 3 MiB of pixels, in base64, and 5 % for all else
    assert content["notes"] == [
        "Shown are the 64 of 70 latents that move the data most.",
        "Moved together are the 45 pairs of latents that share most, by a rough estimate of their MPMI.",
        "Images of 96 × 96 pixels are shown at 42 × 42 and 30 × 30.",
        *[note for note in content["notes"] if note.startswith("Black is ")],
    ]
    assert pixels(content["strips"][0]).shape == (42, 9 * 42, 3)


def test_the_first_of_several_processes_has_the_page_of_one(run_processes: RunProcesses) -> None:
    torch.manual_seed(0)
    model = Tiles()
    alone, *pages = (pages_of(0, model), *run_processes(2, partial(pages_of, model=model)))
    assert alone == pages[0]
    assert len(alone) == 1
    assert pages[1] == []


def pages_of(rank: int, model: Tiles) -> list[str]:
    report = evaluate(model, data(model), ["latents", ManifoldEvaluation(num_samples=8)])
    return [make(report) for make in report.pages.values()]


def test_the_documentation_shows_the_page_as_it_is_now() -> None:
    """Its sample was trained once; if this fails, write it anew: ``python docs/sample_page.py``."""
    sample = (Path(__file__).parents[2] / "docs" / "sample" / "latents.html").read_text()
    assert render("Latents of BetaTCVAE", content_of(sample)) == sample


def test_a_page_is_saved_or_missed(tmp_path: Path) -> None:
    model = Tiles()
    report = evaluate(model, data(model), ["latents"])
    assert report.save_page(tmp_path / "new" / "page.html").read_text() == page_of(report)
    without: list[Any] = [
        evaluate(model, data(model), [TraversalEvaluation(page=False)]),
        Report.load(report.save(tmp_path / "report.npz")),
    ]
    for one in without:
        with pytest.raises(ValueError, match="this report has no page"):
            one.save_page(tmp_path / "none.html")
