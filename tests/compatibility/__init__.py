"""Workspaces written by earlier releases."""
