"""Runtimes: start, stop and observe replicas. There is one sub-package for each way of running them."""
