"""The transfer of a workspace's content: archives, backups, and the move to a shared database and artifact store."""
