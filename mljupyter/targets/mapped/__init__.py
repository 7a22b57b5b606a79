"""Mapped targets: names of Azure's compute targets in old notebooks, for which targets of the workspace stand in.

A target of AKS is mapped only if the user has asked for it (`setting`). One for training is always this machine.
"""
