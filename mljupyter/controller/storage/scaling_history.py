"""The scaling history keeps the newest decisions on the number of replicas of each version, in the database."""

from __future__ import annotations

from mljupyter.client.bounds import MOST_DECISIONS
from mljupyter.controller.storage.database import Database
from mljupyter.spec import ScalingDecision

KEPT = MOST_DECISIONS


class ScalingHistory:
    """Writes and reads decisions. The newest `KEPT` of each version are kept as long as its endpoint exists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, endpoint: str, decision: ScalingDecision) -> None:
        """Store a decision, and delete the oldest of this version if there are too many."""
        key = (endpoint, decision.version)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO scaling (endpoint, version, decision) VALUES (?, ?, ?)", (*key, decision.json_text())
            )
            connection.execute(
                """
                DELETE FROM scaling WHERE endpoint = ?1 AND version = ?2 AND number <= (
                    SELECT number FROM scaling WHERE endpoint = ?1 AND version = ?2
                    ORDER BY number DESC LIMIT 1 OFFSET ?3
                )
                """,
                (*key, KEPT),
            )

    def of(self, endpoint: str, version: str | None = None, most: int = KEPT) -> list[ScalingDecision]:
        """Return the newest decisions on an endpoint, or on one version of it, oldest first."""
        rows = self._database.rows(
            """
            SELECT decision FROM scaling WHERE endpoint = ?1 AND (?2 IS NULL OR version = ?2)
            ORDER BY number DESC LIMIT ?3
            """,
            *(endpoint, version, most),
        )
        return [ScalingDecision.parse(row["decision"]) for row in reversed(rows)]
