"""The plot of a comparison: points by month, and the difference by rule. matplotlib, an extra, draws it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.errors import UsageError

#: (wallet, name, before, after, difference).
Row = tuple[str, str, int, int, int]
FORMATS = (".png", ".svg")


def check(path: Path) -> None:
    """Make sure that a plot can be drawn, before anything long begins.

    Raises:
        UsageError: It is of another format, its folder is not there, or matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: a plot is written as {' or '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent}")
    try:
        import matplotlib  # type: ignore[import-not-found, unused-ignore]  # noqa: F401, PLC0415
    except ImportError:
        raise UsageError("plots need matplotlib: pip install 'loyalty-points[plot]'") from None


def draw(path: Path, months: list[Row], rules: list[Row]) -> None:
    """Write the plot: one row of pictures a wallet."""
    import matplotlib as mpl  # noqa: PLC0415 - a second of imports that only a plot needs

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of what it draws on

    wallets = list(dict.fromkeys(row[0] for row in [*months, *rules]))
    tallest = max((sum(row[0] == wallet for row in rules) for wallet in wallets), default=1)
    size = (13, max(1, len(wallets)) * max(3.5, 0.3 * tallest + 1.5))
    figure, axes = plt.subplots(max(1, len(wallets)), 2, figsize=size, squeeze=False, layout="constrained")
    for (left, right), wallet in zip(axes, wallets, strict=False):
        _by_month(left, wallet, [row for row in months if row[0] == wallet])
        _by_rule(right, wallet, [row for row in rules if row[0] == wallet])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _by_month(axis: Any, wallet: str, rows: list[Row]) -> None:
    places = range(len(rows))
    axis.bar([place - 0.2 for place in places], [row[2] for row in rows], 0.4, label="as it was")
    axis.bar([place + 0.2 for place in places], [row[3] for row in rows], 0.4, label="as it would be")
    axis.set_xticks(list(places), [row[1] for row in rows], rotation=60, ha="right")
    axis.set_title(f"{wallet}: earned by month")
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.legend()


def _by_rule(axis: Any, wallet: str, rows: list[Row]) -> None:
    axis.barh([row[1] for row in rows], [row[4] for row in rows], color=["C2" if row[4] >= 0 else "C3" for row in rows])
    axis.axvline(0, color="black", linewidth=0.8)
    axis.invert_yaxis()
    axis.set_title(f"{wallet}: difference by rule")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.tick_params(axis="x", rotation=30)
