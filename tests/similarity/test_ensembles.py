"""Hot spots, fusion, and the command line, on ensembles whose common information is known."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchdisentangle import functional as F
from torchdisentangle.cli import main
from torchdisentangle.similarity import Fingerprint, compare_fingerprints, find_hot_spots, fuse_channels

NUM_POINTS, RUNS = 80, 6


def ensemble() -> dict[str, Fingerprint]:
    """Runs that found two factors, in any order, scale and sign, something of their own, and a dead channel."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(NUM_POINTS, 2, generator=generator).double()
    labels = (factors[:, 0] > 0).long()
    runs = {}
    for run in range(RUNS):
        own = torch.randn(NUM_POINTS, 1, generator=generator).double()
        noise = 0.05 * torch.randn(NUM_POINTS, 2, generator=generator).double()
        mean = torch.cat([factors + noise, own, torch.zeros(NUM_POINTS, 1)], dim=1)
        scale = 0.5 + torch.rand(4, generator=generator).double()
        scale[torch.rand(4, generator=generator) < 0.5] *= -1
        order = torch.randperm(4, generator=generator)
        log_variance = torch.tensor([-3.0, -2.5, -2.0, 0.0]).double() + 2 * scale.abs().log()
        index = torch.randperm(NUM_POINTS, generator=generator)  # the files need not have one order
        mean, log_variance = (mean * scale)[index][:, order], log_variance[order].expand(NUM_POINTS, 4)
        runs[f"run{run}"] = Fingerprint(mean, log_variance, index, labels[index], step=10 * run)
        runs[f"run{run}"].order = order  # type: ignore[attr-defined]
    return runs


def truth(runs: dict[str, Fingerprint]) -> Tensor:
    return torch.cat([run.order for run in runs.values()])  # type: ignore[attr-defined]


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_hot_spots_are_what_runs_have_in_common(measure: str) -> None:
    runs = ensemble()
    spots = find_hot_spots(compare_fingerprints(runs).comparison, measure, min_samples=RUNS)  # type: ignore[arg-type]
    channel = truth(runs)
    first, second = (spots.labels[channel == factor] for factor in (0, 1))
    assert first.min() == first.max() >= 0
    assert second.min() == second.max() >= 0
    assert first[0] != second[0]
    assert (spots.labels[channel == 3] == -1).all()
    if measure == "nmi":  # a hot spot may take in what is reached right after it; under VI it takes all of it here
        assert (spots.labels[channel == 2] != -1).sum() <= 1
    assert sorted(spots.order.tolist()) == sorted((channel != 3).nonzero()[:, 0].tolist())
    assert len(spots.reachability) == len(spots.order)


def test_too_few_channels_make_no_hot_spot() -> None:
    two = dict(list(ensemble().items())[:2])
    spots = find_hot_spots(compare_fingerprints(two).comparison)
    assert (spots.labels == -1).all()
    assert len(spots.order) == 6
    assert spots.reachability.isinf().all()
    dead = F.compare_posteriors(torch.zeros(5, 3), torch.zeros(5, 3))
    assert len(find_hot_spots(dead, min_samples=2).order) == 0
    with pytest.raises(ValueError, match="compared with themselves"):
        find_hot_spots(F.compare_posteriors(*[torch.randn(5, 3)] * 2, *[torch.randn(5, 2)] * 2))
    with pytest.raises(ValueError, match="min_samples must be at least 2"):
        find_hot_spots(dead, min_samples=1)


def circle_learners(tears: Tensor, num_points: int = 48, std: float = 0.4) -> tuple[Tensor, Tensor]:
    """One-dimensional spaces of a circle: the angle, which each has to tear apart somewhere."""
    angle = torch.arange(num_points).double() * 2 * math.pi / num_points
    mean = (angle[:, None] - 2 * math.pi * tears) % (2 * math.pi)
    return mean, torch.full_like(mean, 2 * math.log(std))


def test_fusion_of_torn_circles_is_a_circle() -> None:
    generator = torch.Generator().manual_seed(0)
    members, others = (circle_learners(torch.rand(20, generator=generator).double()) for _ in range(2))
    coefficients, unseen = F.bhattacharyya_coefficients(*members), F.bhattacharyya_coefficients(*others)
    assert F.continuity(F.bhattacharyya_distance(*members), closed=True).min() > 1000
    information = F.channel_information(coefficients)
    between = F.compare_channels(coefficients, unseen)

    consensus = fuse_channels(coefficients, steps=150)
    distance = F.bhattacharyya_distance(consensus.mean, consensus.log_variance).sum(0)
    assert F.continuity(distance, closed=True) < 5
    radius = (consensus.mean - consensus.mean.mean(0)).norm(dim=1)
    assert radius.min() > 0.3 * radius.mean()  # a ring with nothing inside
    compared = F.compare_channels(F.space_coefficients(consensus.mean, consensus.log_variance), unseen)
    best = between.normalized_mutual_information.mean(1).max()
    assert compared.normalized_mutual_information.mean() > best + 0.02  # more like unseen learners than any learner is
    assert consensus.similarity[-1] > consensus.similarity[0]

    union = fuse_channels(coefficients, objective="mi", steps=80)
    distance = F.bhattacharyya_distance(union.mean, union.log_variance).sum(0)
    assert F.continuity(distance, closed=True) < 10
    space = F.space_coefficients(union.mean, union.log_variance)
    assert F.channel_information(space) > 1.5 * information.max()
    assert F.compare_channels(space, unseen).mutual_information.mean() > between.mutual_information.mean(1).max() + 0.1


def test_fusion_does_not_depend_on_gradients_being_on_and_refuses_bad_input() -> None:
    members = F.bhattacharyya_coefficients(*circle_learners(torch.tensor([0.0, 0.3]).double(), 12))
    with torch.no_grad():
        first = fuse_channels(list(members), steps=5)
    again = fuse_channels(members, steps=5)
    assert torch.equal(first.mean, again.mean)
    assert first.similarity.shape == (6,)
    assert not first.mean.requires_grad
    with pytest.raises(ValueError, match="objective must be one of"):
        fuse_channels(members, objective="mse")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(E, F, F\)"):
        fuse_channels(members[0])


def test_compare_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("sklearn", reason="hot spots need scikit-learn, of the extra supervised")
    runs = ensemble()
    for name, fingerprint in runs.items():
        fingerprint.save(tmp_path / name / "fingerprints" / "val" / f"{fingerprint.step}.npz")
    paths = [str(tmp_path / name) for name in runs]
    out = tmp_path / "out"
    assert main(["compare", *paths, "--output", str(out), "--min-samples", str(RUNS)]) == 0
    printed = capsys.readouterr().out
    assert "NMI of 18 informative channels at 80 points" in printed
    assert f"hot spot 1: {RUNS} channels of {RUNS} runs" in printed or f"hot spot 0: {RUNS} channels" in printed
    assert {path.name for path in out.iterdir()} == {"similarity.csv", "similarity.png", "labels.png", "spaces.csv"}
    table = [line.split(",") for line in (out / "similarity.csv").read_text().splitlines()]
    assert table[0][2:] == [row[0] for row in table[1:]]
    assert "run3/30:2" in table[0]
    matrix = torch.tensor([[float(x) for x in row[2:]] for row in table[1:]])
    expected = compare_fingerprints(runs).comparison.normalized_mutual_information.clamp(0, 1)
    torch.testing.assert_close(matrix.double(), expected, rtol=1e-5, atol=1e-5)
    alive = truth(runs) != 3
    torch.testing.assert_close(matrix.diagonal(), alive.float())  # a dead channel has nothing in common with itself


def test_compare_prints_the_similarity_across_runs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Within each run two equal channels, NMI 1; across runs nearly none: that is what a reader must see."""
    pytest.importorskip("sklearn", reason="hot spots need scikit-learn, of the extra supervised")
    generator = torch.Generator().manual_seed(0)
    paths = []
    for run in ("a", "b"):
        mean = torch.randn(NUM_POINTS, 1, generator=generator).double().expand(-1, 2)
        paths.append(str(Fingerprint(mean, torch.full_like(mean, -3.0), torch.arange(NUM_POINTS)).save(tmp_path / run)))
    across = compare_fingerprints({path: Fingerprint.load(path) for path in paths}).comparison
    nmi = float(across.normalized_mutual_information[0, 2])
    assert nmi < 0.2
    assert main(["compare", *paths, "--output", str(tmp_path), "--min-samples", "4"]) == 0
    assert f"4 channels of 2 runs, mean NMI across runs {nmi:.2f}, information" in capsys.readouterr().out
    assert main(["compare", paths[0], "--output", str(tmp_path)]) == 0
    assert "2 channels of 1 runs, information" in capsys.readouterr().out


def test_compare_in_other_units_and_without_information(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("sklearn", reason="hot spots need scikit-learn, of the extra supervised")
    run = ensemble()["run0"]
    dead = Fingerprint(torch.zeros(5, 2), torch.zeros(5, 2), torch.arange(5))
    files = [str(run.save(tmp_path / "run")), str(dead.save(tmp_path / "dead"))]
    settings = ["--output", str(tmp_path), "--measure", "vi", "--unit", "bits", "--threshold", "0.1"]
    assert main(["compare", files[0], *settings]) == 0
    assert "VI (bits) of 3 informative channels" in capsys.readouterr().out
    assert main(["compare", files[1], *settings]) == 0
    assert "No channel carries more information" in capsys.readouterr().out
    assert main(["compare", *files, *settings]) == 0
    assert "at 5 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "holds none"),
        (["same.npz", "same.npz"], "given twice"),
        (["broken.npz"], "is no fingerprint"),
        (["same.npz", "--min-samples", "0"], "min_samples must be at least 2"),
    ],
)
def test_compare_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ensemble()["run0"].save("same.npz")
    Path("broken.npz").write_text("nothing")
    assert main(["compare", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_hot_spots_without_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    files = [str(run.save(tmp_path / name)) for name, run in list(ensemble().items())[:2]]
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    assert main(["compare", *files, "--output", str(tmp_path / "out")]) == 1
    assert "torchdisentangle[supervised]" in capsys.readouterr().err
    assert (tmp_path / "out" / "similarity.csv").exists()  # what needs no scikit-learn has been done


def test_the_command_is_installed() -> None:
    declared = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'torchdisentangle = "{main.__module__}:{main.__name__}"' in declared
