"""Commands do the work of the magics, one module for each. A module is imported when its magic is first used."""
