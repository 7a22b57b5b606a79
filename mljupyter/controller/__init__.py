"""The controller: one process per workspace that brings the endpoints on this machine to their desired state.

Clients talk to it through `mljupyter.targets.machine.client`; the process itself is `mljupyter.controller.__main__`.
"""
