"""What turns a source directory into something that serves: snapshots and ignore rules."""
