"""The artifact store: files and directories by the digest of their content, on disk or in an object store."""
