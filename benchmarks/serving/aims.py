"""Write the aims and the results as lines of Markdown, missed aims included."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.serving.results import Cell, Results, is_ours

_WORKLOAD = "sklearn"


def aim_lines(results: Results) -> list[str]:
    """Return the aims with their results; nothing if mljupyter or the others were not measured."""
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
            f"- scikit-learn, {connections} connections: mljupyter {_with(batching)} batching reaches "
            f"{ours.per_second / best.per_second:.2f} times the rate of the best other server "
            f"{_with(peers_batch)} batching "
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
        yield (
            "- The aim for p99: no other server is better at the same number of connections. "
            f"This is true in {true} of {compared} comparisons."
        )
    for ours, peer in worse:
        yield (
            f"  - worse: {ours.workload}, {ours.connections} connections, {results.systems[ours.system]['title']}: "
            f"{ours.p99:.3g} ms, {results.systems[peer.system]['title']}: {peer.p99:.3g} ms, "
            f"at {peer.per_second / max(ours.per_second, 1e-9):.2f} times the rate of mljupyter."
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
