"""Widgets: wizards that ask, and panels that show what is going on. Each is a view; nothing depends on one."""
