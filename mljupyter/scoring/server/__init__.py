"""The replica server: an HTTP server that queues requests for its worker, and supervises the worker process."""
