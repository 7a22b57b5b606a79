"""Pages of the wizards."""
