"""Normalizing flows of known architectures, built of normflows' layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from torchdisentangle.models.coupling import SubsetAffineCoupling
from torchdisentangle.models.haar import HaarTransform, haar_scales


def spline_flow(
    dim: int,
    num_blocks: int = 4,
    hidden: int = 64,
    num_bins: int = 8,
    tail_bound: float = 4.0,
    num_classes: int | None = None,
) -> nn.Module:
    """Neural spline flow: coupled rational-quadratic splines with linear mixing between them.

    Outside ``[-tail_bound, tail_bound]`` the splines are the identity, so scale the data to unit variance.

    Args:
        dim: dimension of data and latents.
        num_blocks: number of couplings.
        hidden: width of the couplings' networks.
        num_bins: bins of each spline.
        tail_bound: half-width of the interval that is bent.
        num_classes: for a Gaussian prior of each class, with learned means and scales.

    Returns:
        A normflows ``NormalizingFlow`` over a standard normal, or ``ClassCondFlow``.

    Raises:
        ImportError: if normflows is missing.

    Reference:
        Durkan et al., *Neural Spline Flows*, NeurIPS 2019.

    Example:
        >>> spline_flow(2).log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    nf = _normflows()
    flows: list[nn.Module] = []
    for i in range(num_blocks):
        flows += [
            nf.flows.CoupledRationalQuadraticSpline(
                dim, 2, hidden, num_bins=num_bins, tail_bound=tail_bound, reverse_mask=bool(i % 2)
            ),
            nf.flows.LULinearPermute(dim),
        ]
    return _over_gaussian(dim, flows, num_classes)


def real_nvp(dim: int, num_blocks: int = 8, hidden: int = 64, num_classes: int | None = None) -> nn.Module:
    """RealNVP: affine couplings with swaps of the two halves between them.

    Args:
        dim: dimension of data and latents, at least 2.
        num_blocks: number of couplings.
        hidden: width of the couplings' networks.
        num_classes: for a Gaussian prior of each class, with learned means and scales.

    Returns:
        A normflows ``NormalizingFlow`` over a standard normal, or ``ClassCondFlow``.

    Raises:
        ImportError: if normflows is missing.

    Reference:
        Dinh et al., *Density estimation using Real NVP*, ICLR 2017.

    Example:
        >>> real_nvp(4).log_prob(torch.zeros(3, 4)).shape
        torch.Size([3])
    """
    nf = _normflows()
    flows: list[nn.Module] = []
    for _ in range(num_blocks):
        flows += [_affine_coupling(nf, dim, hidden), nf.flows.Permute(dim, mode="swap")]
    return _over_gaussian(dim, flows, num_classes)


def glow_flow(dim: int, num_blocks: int = 6, hidden: int = 64, num_classes: int | None = None) -> nn.Module:
    """Glow without convolutions: affine couplings, each with a learned linear mixing and an activation normalisation.

    The normalisations set themselves on the first batch that the flow sees, which should be one of data.

    Args:
        dim: dimension of data and latents, at least 2.
        num_blocks: number of couplings.
        hidden: width of the couplings' networks.
        num_classes: for a Gaussian prior of each class, with learned means and scales.

    Returns:
        A normflows ``NormalizingFlow`` over a standard normal, or ``ClassCondFlow``.

    Raises:
        ImportError: if normflows is missing.

    Reference:
        Kingma & Dhariwal, *Glow: Generative Flow with Invertible 1x1 Convolutions*, NeurIPS 2018.

    Example:
        >>> glow_flow(4).log_prob(torch.randn(32, 4)).shape
        torch.Size([32])
    """
    nf = _normflows()
    flows: list[nn.Module] = []
    for _ in range(num_blocks):
        flows += [_affine_coupling(nf, dim, hidden), nf.flows.LULinearPermute(dim), nf.flows.ActNorm((dim,))]
    return _over_gaussian(dim, flows, num_classes)


def gin_flow(dim: int, num_blocks: int = 8, hidden: int = 64, num_classes: int | None = None) -> nn.Module:
    r"""General incompressible-flow network: couplings that preserve volume, over a prior with learned scales.

    .. math:: \log |\det J| = 0 \quad \text{everywhere, so} \quad
              H = \tfrac{d}{2} (1 + \log 2 \pi) + \sum_i \log \sigma_i

    As the flow cannot make volume, the prior's standard deviations must say how far the data extend, as those of
    principal components do. Pairs of couplings change one random half of the coordinates each.

    Args:
        dim: dimension of data and latents, at least 2.
        num_blocks: number of couplings.
        hidden: width of the couplings' networks.
        num_classes: for a Gaussian prior of each class; without it there is one Gaussian.

    Returns:
        A normflows ``NormalizingFlow`` over a Gaussian with learned means and scales, or ``ClassCondFlow``.

    Raises:
        ImportError: if normflows is missing.

    Reference:
        Sorrenson et al., *Disentanglement by Nonlinear ICA with General Incompressible-flow Networks (GIN)*, ICLR 2020.

    Example:
        >>> gin_flow(4, num_classes=3).log_prob(torch.zeros(3, 4), torch.arange(3)).shape
        torch.Size([3])
    """
    layers = _alternating_couplings(_normflows(), range(dim), (), num_blocks, hidden, volume_preserving=True)
    return _over_gaussian(dim, layers, num_classes, learned=True)


def wavelet_flow(
    data_shape: Sequence[int],
    num_levels: int = 2,
    num_blocks: int = 8,
    hidden: int = 64,
    num_classes: int | None = None,
) -> nn.Module:
    r"""Wavelet flow of flat images: a flow for each scale of their Haar transform, given the coarser scales.

    .. math:: p(x) = p(m_L) \prod_{l=1}^{L} p(d_l \mid m_l), \quad z_l = f_l(d_l; m_l)

    with :math:`m_L` the coarsest image, :math:`d_l` the details that level :math:`l` adds, and :math:`m_l` the image
    without them, which is known by the coarser scales. Latents are ordered as
    :func:`~torchdisentangle.models.haar_scales` says. Pairs of affine couplings change one random half of a scale each.

    Args:
        data_shape: shape of the images, ``(channels, H, W)``; the flow takes them flat.
        num_levels: how often the size is halved; the coarsest image must have two pixels or more.
        num_blocks: number of couplings of each scale.
        hidden: width of the couplings' networks.
        num_classes: for a Gaussian prior of each class; without it there is one Gaussian.

    Returns:
        A normflows ``NormalizingFlow`` over a Gaussian with learned means and scales, or ``ClassCondFlow``.

    Raises:
        ImportError: if normflows is missing.
        ValueError: if the sides cannot be halved so often.

    Reference:
        Yu et al., *Wavelet Flow: Fast Training of High Resolution Normalizing Flows*, NeurIPS 2020.

    Example:
        >>> wavelet_flow((1, 4, 4), num_levels=1).log_prob(torch.zeros(3, 16)).shape
        torch.Size([3])
    """
    nf, transform, scales = _normflows(), HaarTransform(data_shape, num_levels), haar_scales(data_shape, num_levels)
    if len(scales[0]) < 2:
        raise ValueError(f"the coarsest image must have two pixels or more: num_levels={num_levels} is too many")
    layers: list[nn.Module] = []
    for scale in scales:
        layers += _alternating_couplings(nf, scale, range(scale[0]), num_blocks, hidden)
    return _over_gaussian(scales[-1][-1] + 1, [*layers, transform], num_classes, learned=True)


def _affine_coupling(nf: Any, dim: int, hidden: int) -> nn.Module:
    first, second = (dim + 1) // 2, dim // 2
    network = nf.nets.MLP([first, hidden, hidden, 2 * second], init_zeros=True)
    return nf.flows.AffineCouplingBlock(network, scale_map="sigmoid")


def _alternating_couplings(
    nf: Any,
    coordinates: Sequence[int],
    given: Sequence[int],
    num_blocks: int,
    hidden: int,
    volume_preserving: bool = False,
) -> Iterator[nn.Module]:
    """Couplings of random halves of some coordinates, each half given the other half and what is given."""
    halves: list[list[int]] = []
    for block in range(num_blocks):
        if block % 2 == 0:
            order = torch.randperm(len(coordinates)).tolist()
            halves = [[coordinates[i] for i in part] for part in (order[::2], order[1::2])]
        else:
            halves.reverse()
        other, changed = halves
        known = [*given, *other]
        network = nf.nets.MLP([len(known), hidden, hidden, 2 * len(changed)], init_zeros=True)
        yield SubsetAffineCoupling(changed, known, network, volume_preserving)


def _over_gaussian(dim: int, flows: Iterable[nn.Module], num_classes: int | None, learned: bool = False) -> nn.Module:
    """A flow over a Gaussian: of each class if there are classes, else standard or learned."""
    nf = _normflows()
    if num_classes is None:
        return nf.NormalizingFlow(nf.distributions.DiagGaussian(dim, trainable=learned), list(flows))
    return nf.ClassCondFlow(nf.distributions.base.ClassCondDiagGaussian(dim, num_classes), list(flows))


def _normflows() -> Any:
    try:
        import normflows
    except ImportError as error:
        raise ImportError("flows need normflows: pip install 'torchdisentangle[flows]'") from error
    return normflows
