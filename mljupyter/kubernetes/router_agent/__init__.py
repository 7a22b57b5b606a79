"""The agent of a router pod: it configures the Envoy of its pod from the API server."""

from __future__ import annotations

import os

# The agent starts Envoy by fork and exec. gRPC would write a line about each fork into the log, and into that of Envoy.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
