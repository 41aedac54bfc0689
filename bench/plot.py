"""The picture of docs/performance.md: how many times faster than uncached each cache's hits are."""

from pathlib import Path

from kinds import KINDS, RIVALS
from results import Result

OURS = "hit"
COLOURS = ("#0b5394", "#c9c9c9", "#a6a6a6", "#828282", "#5f5f5f")
HEIGHT = 0.16
"""Of a bar; a case takes 1."""


def draw(results: list[Result], path: Path) -> None:
    """An SVG file of the cases that are reads; a cache that doesn't keep one has no bar there."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same figures make the same file, and its text is text.
    mpl.rcParams["svg.hashsalt"] = "performance"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    reads = [result for result in results if result.case.sort == "read"]
    figure, axes = pyplot.subplots(figsize=(9, 0.62 * len(reads) + 1.2))
    for number, (variant, colour) in enumerate(zip((OURS, *RIVALS), COLOURS, strict=True)):
        label = KINDS["on" if variant == OURS else variant].label
        places, ratios = [], []
        for place, result in enumerate(reads):
            if variant == OURS or variant in result.rivals():
                places.append(place + (number - 2) * HEIGHT)
                ratios.append(result.ratio(variant))
        # From 1 on: to the right where it is faster, to the left where it is slower.
        lengths = [ratio - 1 for ratio in ratios]
        bars = axes.barh(places, lengths, HEIGHT, left=1, color=colour, label=label)
        if variant == OURS:
            shown = [f"{ratio:.0f}" for ratio in ratios]
            axes.bar_label(bars, shown, padding=3, color=colour, fontsize=9)
    axes.set_yticks(range(len(reads)), [result.case.label for result in reads])
    axes.set_ylim(len(reads) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xticks(
        [0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"]
    )
    axes.minorticks_off()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times faster than without a cache")
    figure.legend(loc="upper center", ncols=5, fontsize=9, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout(rect=(0, 0, 1, 0.96))
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
