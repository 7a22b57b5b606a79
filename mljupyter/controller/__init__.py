"""The controller: one process per workspace that makes this machine match the endpoints wanted.

Clients talk to it through `mljupyter.targets.machine.client`; the process itself is `mljupyter.controller.__main__`.
"""
