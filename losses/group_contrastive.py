"""The group contrastive loss of the high-level branch (method.md part 2)."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def group_contrastive_loss(low: torch.Tensor, high: torch.Tensor, temperature: float = 0.5) -> torch.Tensor:
    """Scalar loss that draws the members of each group together and away from the other group's.

    With rows u, v of unit length, for a member n of a group: p_n is its mean cosine to the G - 1 others
    of its own group, s_nm its cosine to member m of the other group, and the loss is the mean over both
    groups' members of -log(e^(p_n/T) / (e^(p_n/T) + sum over m of e^(s_nm/T))). Exchanging the groups
    changes nothing.

    Args:
        low: projections (G, K) of the images with the lowest pseudo-labels.
        high: projections (G, K) of those with the highest.
        temperature: T.

    Raises:
        ValueError: groups of unequal shape, or of one member, which has no others to be drawn to.
    """
    if low.shape != high.shape or low.ndim != 2:
        raise ValueError(
            f"Two groups of one size are expected, not {tuple(low.shape)} and {tuple(high.shape)}."
        )
    count = len(low)
    if count < 2:
        raise ValueError("A group needs 2 members or more.")
    groups = F.normalize(torch.stack([low, high]), dim=-1)  # (2, G, K)
    within = groups @ groups.mT  # (2, G, G)
    others = within.sum(-1) - within.diagonal(dim1=-2, dim2=-1)  # (2, G)
    positive = others / (count - 1) / temperature
    across = groups @ groups.flip(0).mT / temperature  # (2, G, G)
    everything = torch.cat([positive[..., None], across], -1).logsumexp(-1)  # (2, G)
    return (everything - positive).mean()


def choose_groups(quality: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the `size` lowest pseudo-labels, lowest first, and of the `size` highest, highest first.

    Equal ones keep their order, as in a stable ascending sort; no gradient passes.

    Args:
        quality: (N,) pseudo-labels.
        size: G, members of a group.

    Raises:
        ValueError: N is too small for two groups that share no image.
    """
    if len(quality) < 2 * size:
        raise ValueError(
            f"{len(quality)} images are too few for two groups of {size}; give group_size at most half of "
            "images."
        )
    order = quality.detach().argsort(stable=True)
    return order[:size], order.flip(0)[:size]
