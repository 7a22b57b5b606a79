"""The log of a replica: output of the script, diagnostics, request records."""
