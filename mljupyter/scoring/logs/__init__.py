"""The replica's log: output of the script, diagnostics and request records."""
