"""Workspaces: their directories, the index of their names, and the context that they give to other packages."""
