"""The replica's HTTP server: accepts requests, queues them, and watches its worker."""
