"""Telemetry of endpoints: metrics, and the export of request logs."""
