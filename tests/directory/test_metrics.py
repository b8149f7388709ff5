"""How what is measured is laid out, by one process and by several."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from directory.metrics import SHARED_FOLDER_VARIABLE, Metrics, Reading, forget_process, shared_folder

WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from directory.metrics import Across, Metrics

asked, keys, age = map(int, sys.argv[1:])
metrics = Metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
metrics.count("asked_total", "Asked.", ("how",), lambda: {("well",): asked})
metrics.gauge("keys", "Keys.", lambda: keys)
metrics.gauge("age", "Age.", lambda: age, Across.LARGEST)
observe = metrics.durations("took_seconds", "Took.", (1.0, 2.0))
observe(1.5)
page = asyncio.run(metrics.page()).decode()
print(json.dumps([os.getpid(), page]))
"""


def values(page: bytes | str) -> Mapping[str, float]:
    text = page if isinstance(page, str) else page.decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_a_count_grows_with_its_totals() -> None:
    totals: Counter[tuple[str, ...]] = Counter({("a", "1"): 2})
    metrics = Metrics()
    metrics.count("asked_total", "Asked.", ("who", "how"), lambda: totals)

    assert values(await metrics.page()) == {'asked_total{how="1",who="a"}': 2}
    totals["a", "1"] += 3
    totals["b", "2"] += 1
    assert values(await metrics.page()) == {
        'asked_total{how="1",who="a"}': 5,
        'asked_total{how="2",who="b"}': 1,
    }


async def test_a_gauge_shows_what_there_is_when_the_page_is_read() -> None:
    level = [3]
    metrics = Metrics()
    metrics.gauge("keys", "Keys.", lambda: level[0])

    assert values(await metrics.page()) == {"keys": 3}
    level[0] = 1
    assert values(await metrics.page()) == {"keys": 1}


async def test_gauges_show_what_there_is_by_their_label() -> None:
    levels = {"a": 3.0}
    metrics = Metrics()
    metrics.gauges("keys", "Keys.", "algorithm", lambda: levels)

    assert values(await metrics.page()) == {'keys{algorithm="a"}': 3}
    levels.update(a=0, b=1)
    assert values(await metrics.page()) == {'keys{algorithm="a"}': 0, 'keys{algorithm="b"}': 1}


async def test_durations_fall_into_their_buckets() -> None:
    metrics = Metrics()
    observe = metrics.durations("took_seconds", "Took.", (0.1, 1.0))
    observe(0.05)
    observe(0.5)

    shown = values(await metrics.page())

    assert (shown['took_seconds_bucket{le="0.1"}'], shown['took_seconds_bucket{le="1.0"}']) == (1, 2)
    assert (shown["took_seconds_count"], shown["took_seconds_sum"]) == (2, 0.55)


async def test_what_concerns_the_whole_is_asked_when_the_page_is_read() -> None:
    async def ask() -> list[Reading]:
        return [
            Reading(name="mails", text="Mails.", value=7),
            Reading(name="keys", text="Keys.", value=1, labels={"algorithm": "a"}),
            Reading(name="keys", text="Keys.", value=2, labels={"algorithm": "b"}),
        ]

    metrics = Metrics()
    metrics.state("build_info", "Build.", {"version": "1"})
    metrics.ask_for(ask)

    page = await metrics.page()
    assert page.count(b"# TYPE keys") == 1
    assert values(page) == {
        'build_info{version="1"}': 1,
        "mails": 7,
        'keys{algorithm="a"}': 1,
        'keys{algorithm="b"}': 2,
    }


def a_worker(folder: Path, *numbers: int) -> tuple[int, Mapping[str, float]]:
    """Let a process measure, and return which it was and what it then showed."""
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", WORKER, *map(str, numbers)],
        env={SHARED_FOLDER_VARIABLE: str(folder), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    process, page = json.loads(ended.stdout)
    return process, values(page)


def test_whoever_is_asked_adds_up_what_all_have_measured(tmp_path: Path) -> None:
    first, _ = a_worker(tmp_path, 5, 10, 3)
    _, shown = a_worker(tmp_path, 2, 20, 1)

    assert shown['asked_total{how="well"}'] == 7
    assert (shown["keys"], shown["age"], shown["took_seconds_count"]) == (30, 3, 2)

    forget_process(tmp_path, first)
    _, shown = a_worker(tmp_path, 1, 1, 0)
    assert shown['asked_total{how="well"}'] == 8, "what has happened has happened"
    assert (shown["keys"], shown["age"]) == (21, 1)


def test_a_process_knows_whether_it_is_one_of_several(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(SHARED_FOLDER_VARIABLE, raising=False)
    assert shared_folder() is None

    monkeypatch.setenv(SHARED_FOLDER_VARIABLE, str(tmp_path))
    assert shared_folder() == tmp_path
