"""Source directories: snapshots in the artifact store, within limits and without ignored files."""
