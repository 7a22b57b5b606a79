"""The controller's state on disk: one SQLite file, its backup and the lock."""
