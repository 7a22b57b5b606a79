"""Options that magics and wizards share: declarations, parsing, cell bodies and project defaults."""
