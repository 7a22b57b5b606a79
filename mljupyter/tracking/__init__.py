"""Experiments, runs, datastores and datasets of a workspace: the surroundings of deployment in old notebooks."""
