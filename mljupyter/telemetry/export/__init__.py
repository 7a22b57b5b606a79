"""Export of request records to OpenTelemetry collectors and Azure Monitor."""
