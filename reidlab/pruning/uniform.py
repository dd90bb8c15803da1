"""Uniform removal (UR): the widths that remain when every layer loses the same share of its filters (Sec. 5.4.1).

Widths only: which filters go is another question. A network built from these widths costs what the pruned one costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from reidlab.checks import check_choice, check_number
from reidlab.models.narrow_resnet import Stages

#: Which convolutions of a residual network lose filters. ``text``: as Sec. 5.4.4 says, the first of every block, the
#: second and the shortcut only where the shortcut is a convolution, and never the first layer of the network.
#: ``every``: all of them, what Table 5.5's operations and cycles were counted on.
RULES = ("text", "every")

#: ``removed``: the number of removed filters is rounded down; ``kept``: the number of those that stay.
ROUNDINGS = ("removed", "kept")


def kept(width: int, reduction: float, rounding: str = "removed") -> int:
    """Return how many filters of a layer stay, at least one.

    Args:
        width: filters of the whole layer.
        reduction: the share to remove, the reducing factor of Sec. 5.3.2, in [0, 1].
        rounding: one of :data:`ROUNDINGS`.

    Raises:
        ConfigError: the reduction is outside of [0, 1], or there is no such rounding.

    Example:
        >>> kept(10, 0.25), kept(10, 0.25, "kept")
        (8, 7)
    """
    check_number("reduction", reduction, 0, 1)
    check_choice("rounding", rounding, ROUNDINGS)
    removed = width * reduction
    stay = width - int(removed + 1e-9) if rounding == "removed" else int(width - removed + 1e-9)
    return max(stay, 1)


def uniform(widths: Sequence[int], reduction: float, rounding: str = "removed") -> list[int]:
    """Return what :func:`kept` leaves of each layer of a chain, such as VDSR's.

    Raises:
        ConfigError: as :func:`kept`.
    """
    return [kept(width, reduction, rounding) for width in widths]


def uniform_vgg(
    widths: Sequence[Sequence[int]], reduction: float, rounding: str = "removed", last: bool = False
) -> list[list[int]]:
    """Return the widths of a VGG after uniform removal.

    Args:
        widths: of the whole network, part by part.
        reduction: the share to remove.
        rounding: one of :data:`ROUNDINGS`.
        last: whether the last convolution loses filters too; Sec. 5.4.3 keeps it, but Table 5.3's cycles are those of
            a network without them.

    Raises:
        ConfigError: as :func:`kept`.
    """
    pruned = [uniform(part, reduction, rounding) for part in widths]
    if not last:
        pruned[-1][-1] = widths[-1][-1]
    return pruned


def uniform_cifar(
    stem: int, stages: Stages, reduction: float, rule: str = "text", rounding: str = "removed"
) -> tuple[int, list[list[tuple[int, int]]]]:
    """Return the stem and the stages of a residual network for CIFAR after uniform removal.

    Args:
        stem: filters of the first convolution.
        stages: of the whole network, whose shortcuts past a halved map are convolutions.
        reduction: the share to remove.
        rule: one of :data:`RULES`.
        rounding: one of :data:`ROUNDINGS`.

    Raises:
        ConfigError: as :func:`kept`, or there is no such rule.
    """
    check_choice("rule", rule, RULES)

    def outer(width: int, projected: bool) -> int:
        return kept(width, reduction, rounding) if projected or rule == "every" else width

    pruned = [
        [
            (kept(inner, reduction, rounding), outer(outputs, projected=number > 0 and place == 0))
            for place, (inner, outputs) in enumerate(blocks)
        ]
        for number, blocks in enumerate(stages)
    ]
    return outer(stem, projected=False), pruned
