"""Tables and HTML that magics show."""
