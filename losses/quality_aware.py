"""The quality-aware contrastive loss of the low-level branch (method.md part 1)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F


def alpha_weights(similarity: torch.Tensor, exponent: float = 1.0) -> torch.Tensor:
    """`(2 - 2 / (1 + A^2)) ** exponent`: 0 for FSIM 0, 1 for FSIM 1. Any shape."""
    return (2.0 - 2.0 / (1.0 + similarity.square())) ** exponent


def quality_aware_loss(
    images: torch.Tensor,
    augmentations: torch.Tensor,
    similarity: torch.Tensor,
    temperature: float = 0.5,
    alpha_exponent: float = 1.0,
    form: Literal["inside", "outside"] = "inside",
) -> torch.Tensor:
    """Mean loss of B images with D versions each, seen in two views.

    With f_i, g_j the rows of one image at unit length, `S_ij = f_i . g_j / temperature` and
    a_ij = alpha_weights(A_ij):

    - inside: `mean_bi -log(sum_j a e^S / sum_j e^S) + mean_bj -log(sum_i a e^S / sum_i e^S)`
    - outside: `mean_bij -a (S - logsumexp_j S) + mean_bij -a (S - logsumexp_i S)`

    Args:
        images: features of the first view, (B, D, K).
        augmentations: features of the second view, (B, D, K).
        similarity: annotator matrices A, FSIM of each two versions in [0, 1], (B, D, D).
        temperature: softmax temperature, above 0.
        alpha_exponent: 1 is the paper's weight; more parts versions of high FSIM.
        form: where alpha stands to the logarithm; the paper trains with "inside".

    Returns:
        A scalar.
    """
    f = F.normalize(images, dim=-1, eps=1e-8)
    g = F.normalize(augmentations, dim=-1, eps=1e-8)
    logits = f @ g.mT / temperature  # (B, D, D)
    alpha = alpha_weights(similarity, alpha_exponent)
    if form == "inside":
        weighted = logits + alpha.log()
        rows = logits.logsumexp(-1) - weighted.logsumexp(-1)  # (B, D)
        columns = logits.logsumexp(-2) - weighted.logsumexp(-2)
    else:
        rows = alpha * (logits.logsumexp(-1, keepdim=True) - logits)  # (B, D, D)
        columns = alpha * (logits.logsumexp(-2, keepdim=True) - logits)
    return rows.mean() + columns.mean()
