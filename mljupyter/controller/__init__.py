"""The controller: one process per workspace that brings the endpoints on this machine to their desired state.

Clients use it through `mljupyter.targets.machine.client`. The process itself is `mljupyter.controller.__main__`.
"""
