"""The results as a picture."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Cell


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Draw throughput and median latency against agents at once, with the floor dashed."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and only wanted at the end

    figure = Figure(figsize=(10, 4), layout="constrained")
    throughput, latency = figure.subplots(1, 2)
    for color, model_ms in enumerate(sorted({cell.model_ms for cell in cells})):
        row = sorted((cell for cell in cells if cell.model_ms == model_ms), key=lambda cell: cell.clients)
        clients = [cell.clients for cell in row]
        for name, style, found in (
            ("server", "o-", [cell.measured for cell in row]),
            ("floor", "x--", [cell.floor for cell in row]),
        ):
            look = {"color": f"C{color}", "label": f"{name}, model {model_ms} ms"}
            throughput.plot(clients, [each.per_second for each in found], style, **look)
            latency.plot(clients, [each.p50 for each in found], style, **look)
    ticks = sorted({cell.clients for cell in cells})
    for axes, title in ((throughput, "messages a second"), (latency, "median latency, ms")):
        axes.set(xscale="log", yscale="log", xlabel="agents at once", title=title)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path)
