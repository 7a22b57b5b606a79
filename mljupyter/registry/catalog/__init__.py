"""The catalog: models, environments and images by name and version, in SQLite or PostgreSQL."""
