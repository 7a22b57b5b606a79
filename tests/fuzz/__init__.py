"""Random input at every door of the project: `make test-fuzz` for two minutes, `make fuzz HOURS=8` for a night."""
