"""Write the aims and whether they are reached, as lines of Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.serving.path_cost import ROUTER
from benchmarks.serving.results import Cell, Results, is_ours

_MODEL = "sklearn"
_UNBATCHED, _BATCHED = "ours", "ours-batching"


def aim_lines(results: Results) -> list[str]:
    """Return the aims with their results; nothing if mljupyter or the others were not measured."""
    return [
        *_rates(results),
        *_unbatched(results),
        *_batched(results),
        *_largest_body(results),
        *_latencies(results),
        *_start(results),
        *_router(results),
    ]


def _rates(results: Results) -> Iterator[str]:
    """Compare our requests per second with those of the best server with as many runs at a time."""
    cells = []
    for (system, workload, connections), ours in results.medians().items():
        if system == _UNBATCHED and (best := _best(results, workload, connections)) is not None:
            cells.append((workload, connections, ours, best))
    if not cells:
        return
    won = sum(not ours.errors and ours.per_second >= best.per_second for _, _, ours, best in cells)
    yield (
        f"- {_said(won == len(cells))}: no server with as many runs at a time has more requests per second. "
        f"True in {won} of {len(cells)} cases:"
    )
    yield ""
    yield "| model | connections | the best other server | times its rate |"
    yield "|---|---:|---|---:|"
    for workload, connections, ours, best in cells:
        yield f"| {workload} | {connections} | {_title(results, best)} | {_ratio(ours, best):.2f} |"
    yield ""


def _unbatched(results: Results) -> Iterator[str]:
    peers = [cell for cell in _peers(results, _MODEL, 8) if not results.systems[cell.system]["proxy"]]
    medians = results.medians()
    ours, alone = medians.get((_UNBATCHED, _MODEL, 8)), medians.get((_UNBATCHED, _MODEL, 1))
    if ours is None or alone is None or not peers:
        return
    best = max(peers, key=lambda cell: cell.per_second)
    times = _ratio(ours, best)
    yield (
        f"- {_said(times >= 1.5)}: scikit-learn, 8 connections, without batching: at least 1.5 times the best server "
        f"without a proxy. {times:.2f} times {_title(results, best)}."
    )
    other = medians.get((best.system, _MODEL, 1))
    if other is not None:
        yield (
            f"- {_said(alone.p50 <= other.p50)}: at 1 connection, the p50 of mljupyter is at most that of this server. "
            f"{alone.p50:.3g} and {other.p50:.3g} ms."
        )


def _batched(results: Results) -> Iterator[str]:
    ours = results.medians().get((_BATCHED, _MODEL, 64))
    for least, batching, words in ((3, False, "without batching"), (2, True, "with batching")):
        best = _best(results, _MODEL, 64, batching=batching)
        if ours is None or best is None:
            continue
        times = _ratio(ours, best)
        yield (
            f"- {_said(times >= least)}: scikit-learn, 64 connections, with batching: at least {least} times the best "
            f"server {words}. {times:.2f} times {_title(results, best)}."
        )


def _largest_body(results: Results) -> Iterator[str]:
    medians = results.medians()
    ratios = [
        _ratio(ours, medians["kserve", workload, connections])
        for (system, workload, connections), ours in medians.items()
        if (system, workload) == (_UNBATCHED, "body") and ("kserve", workload, connections) in medians
    ]
    if ratios:
        yield (
            f"- {_said(min(ratios) >= 1)}: bodies of 1 MB, at least the rate of KServe. "
            f"{', '.join(f'{ratio:.2f}' for ratio in ratios)} times."
        )


def _latencies(results: Results) -> Iterator[str]:
    """Compare our p99 with each other server's, at as many connections and runs at a time."""
    compared, worse = 0, []
    for (system, workload, connections), ours in results.medians().items():
        if is_ours(system):
            peers = _peers(results, workload, connections, batching=results.systems[system]["batching"])
            compared += len(peers)
            worse += [(ours, peer) for peer in peers if peer.p99 < ours.p99]
    if compared:
        true = compared - len(worse)
        yield (
            f"- {_said(not worse)}: no server with as many runs at a time has a better p99. "
            f"True in {true} of {compared} comparisons:"
        )
    for ours, peer in sorted(worse, key=lambda pair: (pair[0].workload, pair[0].connections, pair[1].p99)):
        yield (
            f"  - {ours.workload}, {ours.connections} connections, {_title(results, ours)}: "
            f"{ours.p99:.3g} ms, {_title(results, peer)}: {peer.p99:.3g} ms, "
            f"at {_ratio(peer, ours):.2f} times the rate of mljupyter"
        )


def _start(results: Results) -> Iterator[str]:
    added = [
        start.seconds - start.import_seconds
        for start in results.starts
        if (start.system, start.workload) == (_UNBATCHED, _MODEL)
    ]
    if added:
        seconds = statistics.median(added)
        yield (
            f"- {_said(seconds <= 0.5)}: the first answer comes at most 0.5 s after that of the bare model, "
            f"the start of controller and router included. {seconds:.2f} s."
        )


def _router(results: Results) -> Iterator[str]:
    for part, milliseconds in results.path:
        if part == ROUTER:
            yield (
                f"- {_said(milliseconds <= 0.2)}: the router adds at most 0.2 ms to the p50 at one connection. "
                f"{milliseconds:.2f} ms."
            )


def _best(results: Results, workload: str, connections: int, *, batching: bool = False) -> Cell | None:
    return max(
        _peers(results, workload, connections, batching=batching), key=lambda cell: cell.per_second, default=None
    )


def _peers(results: Results, workload: str, connections: int, *, batching: bool = False) -> list[Cell]:
    """Return the medians of the other servers that answered all requests, with as many runs at a time as ours."""
    return [
        cell
        for cell in results.medians().values()
        if not is_ours(cell.system)
        and not cell.errors
        and (cell.workload, cell.connections) == (workload, connections)
        and results.systems[cell.system]["batching"] == batching
        and results.systems[cell.system]["runs_at_once"] == 1
    ]


def _ratio(one: Cell, other: Cell) -> float:
    return one.per_second / max(other.per_second, 1e-9)


def _title(results: Results, cell: Cell) -> str:
    title: str = results.systems[cell.system]["title"]
    return title


def _said(reached: bool) -> str:
    return "**yes**" if reached else "**no**"
