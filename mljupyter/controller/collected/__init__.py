"""Data that scoring scripts collect: lists of its files, and their content in pieces."""
