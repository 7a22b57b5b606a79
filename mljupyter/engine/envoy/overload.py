"""The overload manager of Envoy: limits on memory and connections, and the actions when they run out.

Envoy calls the used share of a limit *pressure*, and reacts by *overload actions*. It measures memory by itself. It
counts connections but does not act on their number, so the controller writes that pressure into a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.engine.envoy.extensions import TYPE, Resource, named

# Ports of local web services have their own limits of connections, separate from the port that all other endpoints
# share: a client that uses up the connections of one port leaves the others free.
RESERVED_CONNECTIONS = 1000
_HEAP = "envoy.resource_monitors.fixed_heap"
_POOL = "envoy.resource_monitors.injected_resource"
_MEASURED_EVERY = "0.1s"  # a client on this machine sends 100 MB in that time
# The first of eight memory accounts is for streams of 16 KB, the last for all of 2 MB and more. The largest streams are
# reset first, and more of them as memory gets nearer to the limit.
_SMALLEST_ACCOUNT = 14
_SHORTEST_IDLE = "2s"
NO_PRESSURE = 0.0
_STEPS = 10
_LEAST_MEMORY, _MOST_MEMORY, _MEMORY_STEP = 256 << 20, 8 << 30, 64 << 20
_LEAST_IN_CONTAINER = 64 << 20
_OTHERS_IN_CONTAINER = 0.25  # the share of all but the heap: the router agent, code, stacks, what is not yet returned


def manager(*, most_connections: int, most_memory_bytes: int, pressure_file: str) -> Resource:
    """Return the overload manager.

    Parameters:
        most_connections: the limit of connections to the shared port.
        most_memory_bytes: the limit of the router's memory.
        pressure_file: the file with the pressure of connections, see `fullest`.

    """
    return {
        "refresh_interval": _MEASURED_EVERY,
        "resource_monitors": [
            named(
                "envoy.resource_monitors.global_downstream_max_connections",
                "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=most_connections + RESERVED_CONNECTIONS,
            ),
            named(
                _HEAP,
                "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=most_memory_bytes,
            ),
            named(
                _POOL,
                "extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
                filename=pressure_file,
            ),
        ],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": _SMALLEST_ACCOUNT},
        "actions": [
            _action(
                "shrink_heap",
                {_HEAP: _above(0.5)},
                "ShrinkHeapConfig",
                timer_interval="1s",
                max_unfreed_memory_bytes=most_memory_bytes // 20,
            ),
            _action("reset_high_memory_stream", {_HEAP: _between(0.7, 0.9)}),
            _action(
                "reduce_timeouts",
                {_POOL: _between(0.5, 0.9), _HEAP: _between(0.7, 0.9)},
                "ScaleTimersOverloadActionConfig",
                timer_scale_factors=[
                    {"timer": timer, "min_timeout": _SHORTEST_IDLE}
                    for timer in ("HTTP_DOWNSTREAM_CONNECTION_IDLE", "TRANSPORT_SOCKET_CONNECT")
                ],
            ),
            _action("stop_accepting_requests", {_HEAP: _above(0.95)}),
            _action("stop_accepting_connections", {_HEAP: _above(0.98)}),
        ],
        "loadshed_points": [
            {
                "name": "envoy.load_shed_points.http1_server_abort_dispatch",
                "triggers": [{"name": _HEAP, **_between(0.7, 0.95)}],
            }
        ],
    }


def runtime(listener: str, most_connections: int) -> Resource:
    """Return the runtime settings that limit the connections of one listener, idle ones included."""
    limits = {f"envoy.resource_limits.listener.{listener}.connection_limit": most_connections}
    return {"layers": [{"name": "limits", "static_layer": limits}]}


def memory_release() -> Resource:
    """Return the settings by which free memory is returned to the machine, independent of the limit."""
    return {"bytes_to_release": 64 << 20, "memory_release_interval": "1s"}


def most_local(most_connections: int) -> int:
    """Return the limit of connections to the port of a local web service, from the limit of the shared port."""
    return min(most_connections, RESERVED_CONNECTIONS)


def fullest(connections: Mapping[int, int], shared_port: int, most: int) -> float:
    """Return the pressure of the fullest pool of connections, in steps of a tenth: 1 when it is full.

    Parameters:
        connections: the number of connections by port.
        shared_port: the port of all endpoints but local web services.
        most: the limit of connections to it.

    Example:
        >>> fullest({8600: 5_499, 6789: 3}, 8600, 10_000), fullest({8600: 10, 6789: 1_003}, 8600, 10_000)
        (0.5, 1.0)

    """
    steps = [
        min(count * _STEPS // (most if port == shared_port else most_local(most)), _STEPS)
        for port, count in connections.items()
    ]
    return max(steps, default=0) / _STEPS


def default_memory(machine_bytes: int) -> int:
    """Return the default memory limit of the router: a quarter of the machine's memory, from 256 MB to 8 GB.

    Example:
        >>> default_memory(16 << 30) >> 20, default_memory(1 << 29) >> 20, default_memory(1 << 40) >> 20
        (4096, 256, 8192)

    """
    # Rounded, so that small differences between two readings do not count.
    quarter = machine_bytes // 4 // _MEMORY_STEP * _MEMORY_STEP
    return min(max(quarter, _LEAST_MEMORY), _MOST_MEMORY)


def memory_in_container(limit_bytes: int, wanted_bytes: int | None) -> int:
    """Return the memory limit of a router in a container that it shares with its agent alone.

    By default it is half of the container's limit. It is never more than three quarters: beyond that the kernel kills
    the router before Envoy refuses requests.

    Parameters:
        limit_bytes: the memory limit of the container.
        wanted_bytes: the limit that a user has set; None for the default.

    Example:
        >>> [memory_in_container(1 << 30, wanted) >> 20 for wanted in (None, 300 << 20, 2 << 30)]
        [512, 300, 768]
        >>> memory_in_container(200 << 20, None) >> 20
        64

    """
    if wanted_bytes is not None:
        return min(wanted_bytes, int(limit_bytes * (1 - _OTHERS_IN_CONTAINER)))
    half = limit_bytes // 2 // _MEMORY_STEP * _MEMORY_STEP
    return min(max(half, _LEAST_IN_CONTAINER), _MOST_MEMORY)


def _action(name: str, triggers: dict[str, Resource], kind: str | None = None, **config: Any) -> Resource:
    action: Resource = {
        "name": f"envoy.overload_actions.{name}",
        "triggers": [{"name": monitor, **trigger} for monitor, trigger in triggers.items()],
    }
    if kind is not None:
        action["typed_config"] = {"@type": f"{TYPE}config.overload.v3.{kind}", **config}
    return action


def _above(pressure: float) -> Resource:
    return {"threshold": {"value": pressure}}


def _between(begins: float, complete: float) -> Resource:
    return {"scaled": {"scaling_threshold": begins, "saturation_threshold": complete}}
