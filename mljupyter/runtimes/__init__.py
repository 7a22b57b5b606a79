"""Start, stop and observe replicas: one module for each way of running them."""
