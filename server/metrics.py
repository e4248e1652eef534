"""Numbers about the server for Prometheus."""

from collections.abc import Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts requests, and shows them together with what the fleet counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            "greenroom_requests", "Requests answered.", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "greenroom_request_seconds",
            "Time from a request to the end of its answer.",
            labels,
            buckets=LATENCIES,
            registry=self._registry,
        )
        self._open = Gauge("greenroom_requests_open", "Requests in progress.", registry=self._registry)

    def begin(self) -> None:
        """Count a request that has come in."""
        self._open.inc()

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that has been answered.

        Args:
            route: pattern of its path.
        """
        self._open.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self, fleet: dict[str, float]) -> bytes:
        """Everything in Prometheus' text format.

        Args:
            fleet: the fleet's numbers; names that end in ``_total`` only ever grow.
        """
        current = CollectorRegistry()
        current.register(_Fleet(fleet))
        return generate_latest(self._registry) + generate_latest(current)


class _Fleet(Collector):
    def __init__(self, numbers: dict[str, float]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        for name, value in self._numbers.items():
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            words = name.removesuffix("_total").replace("_", " ")
            yield family(f"greenroom_{name}", f"Fleet: {words}.", value=value)


METRICS = web.AppKey("metrics", Metrics)
