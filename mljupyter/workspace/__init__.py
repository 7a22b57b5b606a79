"""Workspaces: where they live, how one is found, and everything a workspace gives to the parts above."""
