"""What endpoints did: metrics, and records of requests on their way out."""
