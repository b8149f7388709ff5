"""What is measured, and how does Prometheus read it? Plain numbers of the service, sampled and laid out.

Whoever does the work counts with plain integers of his own; here they are looked at once a second and when
somebody asks. With several workers each keeps its share in a folder, and whichever is asked adds them up
(`multiprocess` of prometheus-client). The libraries of Prometheus are known to this module alone.

Labels come from closed sets: refusals, result codes, routes. Never an address, a token, a name.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

SHARED_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which workers keep their shares; prometheus-client reads it when it is imported."""
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
SAMPLE_SECONDS: Final = 1.0

Totals: TypeAlias = Callable[[], Mapping[tuple[str, ...], int]]
"""Returns how often something has happened so far, by the values of its labels."""

disable_created_metrics()  # one more series for each counter, which nobody asks for


class Across(Enum):
    """How the values of several workers become one."""

    SUM = "livesum"
    LARGEST = "livemax"
    SMALLEST = "livemin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number about the service as a whole, whichever worker is asked."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Metrics:
    """What one process measures. With a `folder`, it is one of several that keep their shares there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._own = CollectorRegistry()
        self._samplers: list[Callable[[], None]] = []
        self._ask: Callable[[], Awaitable[Sequence[Reading]]] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether other processes show what this one measures."""
        return self._folder is not None

    def count(self, name: str, text: str, labels: Sequence[str], totals: Totals) -> None:
        """Measure how often something happens; the totals never fall."""
        self._samplers.append(_Growth(Counter(name, text, labels, registry=self._own), totals).sample)

    def gauge(self, name: str, text: str, value: Callable[[], float], across: Across = Across.SUM) -> None:
        """Measure what there is now."""
        gauge = Gauge(name, text, registry=self._own, multiprocess_mode=across.value)
        self._samplers.append(lambda: gauge.set(value()))

    def gauges(self, name: str, text: str, label: str, values: Callable[[], Mapping[str, float]]) -> None:
        """Measure what there is now, by the values of one label; a value that was there once stays."""
        gauge = Gauge(name, text, (label,), registry=self._own, multiprocess_mode=Across.SUM.value)

        def sample() -> None:
            for labelled, value in values().items():
                gauge.labels(labelled).set(value)

        self._samplers.append(sample)

    def durations(self, name: str, text: str, bounds: Sequence[float]) -> Callable[[float], None]:
        """Measure how long something takes; return what is to be told each time, in seconds."""
        return Histogram(name, text, registry=self._own, buckets=bounds).observe

    def state(self, name: str, text: str, labels: Mapping[str, str]) -> None:
        """Show what stays as it is, as labels of the number 1."""
        gauge = Gauge(name, text, tuple(labels), registry=self._own, multiprocess_mode=Across.LARGEST.value)
        gauge.labels(**labels).set(1)

    def ask_for(self, ask: Callable[[], Awaitable[Sequence[Reading]]]) -> None:
        """Ask for the numbers about the whole whenever the page is read."""
        self._ask = ask

    def sample(self) -> None:
        """Look at every number."""
        for sampler in self._samplers:
            sampler()

    async def keep_sampling(self) -> None:
        """Look at every number once a second until cancelled, so that others can show them."""
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def page(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        self.sample()
        shown = self._own
        if self._folder is not None:
            shown = CollectorRegistry()
            MultiProcessCollector(shown, str(self._folder))
        content = generate_latest(shown)
        if self._ask is None:
            return content
        whole = CollectorRegistry()
        whole.register(_Whole(await self._ask()))
        return content + generate_latest(whole)


class _Growth:
    """Lets a counter grow with totals that are kept elsewhere."""

    def __init__(self, counter: Counter, totals: Totals) -> None:
        self._counter = counter
        self._totals = totals
        self._seen: dict[tuple[str, ...], int] = {}

    def sample(self) -> None:
        for labels, total in self._totals().items():
            grown = total - self._seen.get(labels, 0)
            if grown:
                self._seen[labels] = total
                (self._counter.labels(*labels) if labels else self._counter).inc(grown)


class _Whole(Collector):
    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for reading in self._readings:
            family = families.setdefault(
                reading.name, GaugeMetricFamily(reading.name, reading.text, labels=tuple(reading.labels))
            )
            family.add_metric(tuple(reading.labels.values()), reading.value)
        yield from families.values()


def shared_folder() -> Path | None:
    """Return where this process keeps its share, if it is one of several workers."""
    named = os.environ.get(SHARED_FOLDER_VARIABLE)
    return Path(named) if named else None


def forget_process(folder: Path, process: int) -> None:
    """Take what a process that has ended had at the end out of the sums; what it has counted stays."""
    mark_process_dead(process, str(folder))
