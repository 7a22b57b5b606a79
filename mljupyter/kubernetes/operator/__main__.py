"""``python -m mljupyter.kubernetes.operator`` runs the operator of a cluster in its pod."""

from __future__ import annotations

import asyncio
import logging
import sys

from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.operator.lifecycle import run
from mljupyter.kubernetes.operator.settings import OperatorSettings


def main() -> int:
    """Run the operator; return the exit status of its process."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname).1s %(message)s", stream=sys.stderr)
    logging.getLogger("mljupyter").setLevel(logging.INFO)
    try:
        asyncio.run(run(OperatorSettings.of_pod()))
    except MLJupyterError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
