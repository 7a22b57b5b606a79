"""Batch scoring: many rows go to an endpoint in parts, several at once, and come back in order.

>>> result = score_batch(service, "visits.parquet")                     # doctest: +SKIP
>>> frame["risk"] = result                                              # doctest: +SKIP
>>> result.failed                                                       # doctest: +SKIP
[FailedRow(row=17, reason="status 400: age is missing")]
"""

from mljupyter.core.batch.result import BatchError, BatchResult, FailedRow, Progress
from mljupyter.core.batch.run import Batch, score_batch

__all__ = ["Batch", "BatchError", "BatchResult", "FailedRow", "Progress", "score_batch"]
