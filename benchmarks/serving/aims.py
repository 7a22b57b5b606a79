"""What was aimed at and what was reached, as lines of Markdown; what was missed is said as plainly as the rest."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.serving.results import Cell, Results, is_ours

_WORKLOAD = "sklearn"


def aim_lines(results: Results) -> list[str]:
    """Return the aims with what was reached; nothing where ours or the others were not measured."""
    return [
        *_throughput(results, 8, 3, batching=False),
        *_throughput(results, 64, 8, batching=True),
        *_latency(results),
    ]


def _throughput(results: Results, connections: int, times: int, *, batching: bool) -> Iterator[str]:
    """Compare our requests per second with the best peer's without batching, and with batching if ours has it."""
    ours = results.medians().get(("ours-batching" if batching else "ours", _WORKLOAD, connections))
    for peers_batch in sorted({False, batching}):
        peers = _peers(results, _WORKLOAD, connections, batching=peers_batch)
        if ours is None or not peers:
            continue
        best = max(peers, key=lambda cell: cell.per_second)
        aim = "" if peers_batch else f"; the aim is {times} times"
        yield (
            f"- scikit-learn, {connections} connections: ours {_with(batching)} batching does "
            f"{ours.per_second / best.per_second:.2f} times what the best peer does {_with(peers_batch)} batching "
            f"({results.systems[best.system]['title']}, {best.per_second:,.0f} requests/s){aim}."
        )


def _latency(results: Results) -> Iterator[str]:
    """Compare our p99 with each peer's at as many connections."""
    compared, worse = 0, []
    for (system, workload, connections), ours in results.medians().items():
        if is_ours(system):
            peers = _peers(results, workload, connections, batching=results.systems[system]["batching"])
            compared += len(peers)
            worse += [(ours, peer) for peer in peers if peer.p99 < ours.p99]
    if compared:
        true = compared - len(worse)
        yield f"- p99 no worse than any peer's at as many connections: true in {true} of {compared} comparisons."
    for ours, peer in worse:
        yield (
            f"  - worse: {ours.workload}, {ours.connections} connections, {results.systems[ours.system]['title']}: "
            f"{ours.p99:.3g} ms, {results.systems[peer.system]['title']}: {peer.p99:.3g} ms, "
            f"which does {peer.per_second / max(ours.per_second, 1e-9):.2f} times our requests/s."
        )


def _peers(results: Results, workload: str, connections: int, *, batching: bool) -> list[Cell]:
    return [
        cell
        for cell in results.medians().values()
        if not is_ours(cell.system)
        and (cell.workload, cell.connections) == (workload, connections)
        and results.systems[cell.system]["batching"] == batching
    ]


def _with(batching: bool) -> str:
    return "with" if batching else "without"
