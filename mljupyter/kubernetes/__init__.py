"""The control plane of a cluster: custom resources, operator and router agents."""
