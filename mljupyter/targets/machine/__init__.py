"""This machine's control plane: the controller of a workspace, started on demand."""
