"""The interface under load: many clients at once with region queries and tiles, then what should be refused.

Wall time, seen by clients in another process on the same machine: they share its cores with the server. Every
region is another one, so that no answer comes from the cache of answers.
"""

from __future__ import annotations

import http.client
import io
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core.errors import FlorascopeError

#: Share of requests that are region queries; the others are tiles.
REGION_SHARE = 0.3
#: Radius of the circles asked about, km, drawn evenly on a logarithmic scale.
RADIUS_KM = (5.0, 150.0)
ZOOMS = (4, 10)
_LIMIT_S = 60.0
_KM_PER_DEGREE = 111.2
_CORNERS = 48
_LAYERS = ("richness", "shannon", "simpson")
_JSON = {"Content-Type": "application/json"}


class LoadError(FlorascopeError):
    """The server cannot be loaded: it does not answer, or has no atlas."""


@dataclass(frozen=True)
class Target:
    """One atlas to ask about: name, number of species, cell centres (n, 2) in degrees."""

    atlas: str
    n_species: int
    lonlat: NDArray[np.float64]


@dataclass
class Tally:
    """What the clients saw: seconds of each answer by kind, statuses, bytes."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"region": [], "tile": []})
    statuses: Counter = field(default_factory=Counter)
    n_bytes: int = 0
    failures: Counter = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, seconds: float, status: int, n_bytes: int) -> None:
        """Note one answer."""
        with self.lock:
            self.seconds[kind].append(seconds)
            self.statuses[status] += 1
            self.n_bytes += n_bytes

    def fail(self, why: str) -> None:
        """Note a request that got no answer."""
        with self.lock:
            self.failures[why] += 1


@dataclass(frozen=True)
class Percentiles:
    """Answers of one kind, their number a second, median, 95 % and longest in milliseconds."""

    kind: str
    n: int
    per_second: float
    median_ms: float
    p95_ms: float
    longest_ms: float

    @classmethod
    def of(cls, kind: str, seconds: list[float], wall_s: float) -> Percentiles:
        """From the seconds of each answer and the time they took together."""
        if not seconds:
            return cls(kind, 0, 0.0, math.nan, math.nan, math.nan)
        median, p95, longest = (1000.0 * float(np.quantile(seconds, q)) for q in (0.5, 0.95, 1.0))
        return cls(kind, len(seconds), len(seconds) / wall_s, median, p95, longest)

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.kind:7} {self.n:6} answers, {self.per_second:6.1f} a second; "
            f"median {self.median_ms:6.0f} ms, 95 % {self.p95_ms:6.0f} ms, longest {self.longest_ms:6.0f} ms"
        )


class Client:
    """One connection, opened again when the server closes it."""

    def __init__(self, address: str):
        parts = urlsplit(address)
        self._root = parts.path.rstrip("/")
        self._make = lambda: http.client.HTTPConnection(parts.netloc, timeout=_LIMIT_S)
        self._connection = self._make()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of an answer."""
        try:
            self._connection.request(method, f"{self._root}{path}", body=body, headers=headers or {})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._make()
            raise


def targets_of(address: str) -> list[Target]:
    """The atlases of a server, with the centres of their cells.

    Raises `LoadError` when it does not answer as the interface does.
    """
    client, targets = Client(address), []
    try:
        for entry in _read(client, "/v1/atlases")["atlases"]:
            name = entry["name"]
            status, table = client.ask("GET", f"/v1/atlases/{name}/species/0/cells.parquet")
            if status != 200:
                raise LoadError(f"{address} answers {status} for the cells of {name}; is it Florascope?")
            cells = pd.read_parquet(io.BytesIO(table), columns=["longitude", "latitude"])
            targets.append(Target(name, int(entry["n_species"]), cells.to_numpy(np.float64)))
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise LoadError(
            f"{address} does not answer as Florascope's interface does ({error}); give the address of its "
            "start page, such as http://127.0.0.1:8501/api."
        ) from error
    if not targets:
        raise LoadError(f"{address} has no atlas to ask about.")
    return targets


def _read(client: Client, path: str) -> Any:
    status, body = client.ask("GET", path)
    if status != 200:
        raise ValueError(f"status {status}")
    return json.loads(body)


def circle(longitude: float, latitude: float, radius_km: float) -> bytes:
    """A circle as GeoJSON, good enough to ask about."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    north = radius_km / _KM_PER_DEGREE
    east = north / math.cos(math.radians(latitude))
    ring = np.column_stack([longitude + east * np.cos(angles), latitude + north * np.sin(angles)])
    corners = [*ring.round(6).tolist(), ring[0].round(6).tolist()]
    return json.dumps({"type": "Polygon", "coordinates": [corners]}).encode()


def run_load(address: str, clients: int, seconds: float, seed: int = 0) -> tuple[Tally, float]:
    """Have so many clients ask one request after another for so long; what they saw, and the time it took."""
    targets = targets_of(address)
    tally = Tally()
    started = time.perf_counter()
    end = started + seconds
    threads = [
        threading.Thread(target=_ask_on, args=(address, targets, tally, end, seed + number), daemon=True)
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 2 * _LIMIT_S)
    return tally, time.perf_counter() - started


def _ask_on(address: str, targets: list[Target], tally: Tally, end: float, seed: int) -> None:
    random, client = np.random.default_rng(seed), Client(address)
    while time.perf_counter() < end:
        target = targets[int(random.integers(len(targets)))]
        longitude, latitude = target.lonlat[int(random.integers(len(target.lonlat)))].tolist()
        is_region = random.random() < REGION_SHARE
        started = time.perf_counter()
        try:
            if is_region:
                radius = float(np.exp(random.uniform(*np.log(RADIUS_KM))))
                body = circle(longitude, latitude, radius)
                status, answer = client.ask("POST", f"/v1/atlases/{target.atlas}/regions", body, _JSON)
            else:
                status, answer = client.ask("GET", _tile(target, longitude, latitude, random))
        except (OSError, http.client.HTTPException) as error:
            tally.fail(type(error).__name__)
            continue
        kind = "region" if is_region else "tile"
        tally.add(kind, time.perf_counter() - started, status, len(answer))


def _tile(target: Target, longitude: float, latitude: float, random: np.random.Generator) -> str:
    """Address of a tile around a place, half of them of a species."""
    z = int(random.integers(ZOOMS[0], ZOOMS[1] + 1))
    x = int((longitude + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * 2**z)
    if random.random() < 0.5:
        layer = f"species/{int(random.integers(target.n_species))}"
    else:
        layer = _LAYERS[int(random.integers(len(_LAYERS)))]
    return f"/v1/atlases/{target.atlas}/tiles/{layer}/{z}/{x}/{y}.png"


# Abuse -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Abuse:
    """One request that should be refused (or, where that is right, answered), and what came of it."""

    name: str
    expected: tuple[int, ...]
    status: int
    seconds: float
    sentence: str

    @property
    def as_expected(self) -> bool:
        """Whether the status is right, and a refusal is one sentence."""
        is_told = self.status < 400 or (bool(self.sentence) and "Traceback" not in self.sentence)
        return self.status in self.expected and is_told

    def line(self) -> str:
        """For people."""
        mark = "as expected" if self.as_expected else f"NOT one of {self.expected}"
        return f"{self.status} {mark:11} {1000 * self.seconds:6.0f} ms  {self.name}: {self.sentence[:90]}"


def abuses(address: str) -> Iterator[Abuse]:
    """Requests that are too large, too deep, malformed or aimed elsewhere, one after the other."""
    target = targets_of(address)[0]
    longitude, latitude = target.lonlat[len(target.lonlat) // 2].tolist()
    here = f"/v1/atlases/{target.atlas}"
    region = f"{here}/regions?species=none"
    million = ",".join(["[0.5,42.5]"] * 1_000_000).encode()
    tiny = [
        [[[x, y], [x + 1e-3, y], [x + 1e-3, y + 1e-3], [x, y]]]
        for x in (longitude + np.linspace(-0.5, 0.5, 100)).tolist()
        for y in (latitude + np.linspace(-0.5, 0.5, 100)).tolist()
    ]
    angles = np.linspace(0, 2 * np.pi * 201, 1001)[:-1]
    star = np.column_stack([longitude + np.cos(100 * angles), latitude + np.sin(100 * angles)]).tolist()
    west, south, east, north = longitude - 0.5, latitude - 0.5, longitude + 0.5, latitude + 0.5
    bow_tie = json.dumps([[west, south], [east, north], [east, south], [west, north], [west, south]])
    cases: list[tuple[str, tuple[int, ...], str, str, bytes | None, dict[str, str]]] = [
        ("11 MB polygon", (413,), "POST", region, _ring(million), _JSON),
        ("NaN in a vertex", (400,), "POST", region, _ring(b"[0,42],[1,NaN],[1,43],[0,42]"), _JSON),
        ("1e999 in a vertex", (400,), "POST", region, _ring(b"[0,42],[1e999,42],[1,43],[0,42]"), _JSON),
        ("vertex at 1e12", (422,), "POST", region, _ring(b"[0,42],[1e12,42],[1,43],[0,42]"), _JSON),
        ("100 000 brackets", (400,), "POST", region, b"[" * 100_000, _JSON),
        ("half a JSON", (400,), "POST", region, b'{"type":"Pol', _JSON),
        ("bytes that are no text", (400,), "POST", region, bytes(range(256)), _JSON),
        ("XML", (415,), "POST", region, b"<a/>", {"Content-Type": "text/xml"}),
        (
            "10 000 tiny polygons",
            (200, 413, 422, 503),
            "POST",
            region,
            json.dumps({"type": "MultiPolygon", "coordinates": tiny}).encode(),
            _JSON,
        ),
        (
            "bow-tie",
            (200,),
            "POST",
            region,
            _ring(bow_tie[1:-1].encode()),
            _JSON,
        ),
        (
            "star of 1000 crossing edges",
            (200, 422, 503),
            "POST",
            region,
            json.dumps({"type": "Polygon", "coordinates": [[*star, star[0]]]}).encode(),
            _JSON,
        ),
        ("the whole Earth", (200, 404, 422, 503), "POST", region, _ring(_EARTH), _JSON),
        ("negative zoom", (404, 422), "GET", f"{here}/tiles/richness/-1/0/0.png", None, {}),
        ("zoom 99", (404, 422), "GET", f"{here}/tiles/richness/99/0/0.png", None, {}),
        ("column beyond the zoom", (404, 422), "GET", f"{here}/tiles/richness/3/99/0.png", None, {}),
        ("species 10^30", (404, 422), "GET", f"{here}/tiles/species/{10**30}/3/4/2.png", None, {}),
        ("path out of the catalogue", (400, 404), "GET", "/v1/stac/..%2f..%2f..%2fetc%2fpasswd", None, {}),
        ("path as an atlas", (400, 404), "GET", "/v1/atlases/..%2f..%2fassets", None, {}),
        ("job with a path", (400, 404), "GET", "/v1/jobs/..%2f..%2fetc", None, {}),
        ("rule that does not exist", (422,), "GET", f"{here}/regions?place=Paris&rule=magic", None, {}),
        ("report without a body from a form", (415,), "POST", f"{here}/reports?place=Paris", b"", {}),
    ]
    for title, expected, method, path, body, headers in cases:
        yield _abuse(address, title, expected, method, path, body, headers)


_EARTH = b"[-179,-85],[179,-85],[179,85],[-179,85],[-179,-85]"


def _ring(vertices: bytes) -> bytes:
    return b'{"type":"Polygon","coordinates":[[' + vertices + b"]]}"


def _abuse(
    address: str,
    name: str,
    expected: tuple[int, ...],
    method: str,
    path: str,
    content: bytes | None,
    headers: dict[str, str],
) -> Abuse:
    started = time.perf_counter()
    try:
        status, body = Client(address).ask(method, path, content, headers)
    except (OSError, http.client.HTTPException) as error:
        return Abuse(name, expected, 0, time.perf_counter() - started, f"no answer: {type(error).__name__}")
    try:
        told = json.loads(body)
        sentence = str(told.get("error", "")) if isinstance(told, dict) else ""
    except ValueError:
        sentence = "" if status < 400 else body[:90].decode(errors="replace")
    return Abuse(name, expected, status, time.perf_counter() - started, sentence)


def hurry(address: str, n_requests: int = 200) -> Counter:
    """Statuses of so many cheap requests one right after the other, which a limit of rate should stop."""
    client = Client(address)
    statuses: Counter[int] = Counter()
    for _ in range(n_requests):
        status, _body = client.ask("GET", "/v1/atlases")
        statuses[status] += 1
    return statuses


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process in MB, all of it and without pages of mapped files; NaN if unknown."""

    resident_mb: float
    own_mb: float

    @classmethod
    def of(cls, process: int | None) -> Memory:
        """Of a process by its number."""
        try:
            lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            lines = []
        values = {
            line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "RssAnon"))
        }
        return cls(float(values.get("VmRSS", "nan")) / 1000, float(values.get("RssAnon", "nan")) / 1000)

    def text(self) -> str:
        """For people."""
        return f"{self.resident_mb:.0f} MB ({self.own_mb:.0f} MB without mapped files)"
