"""The soak: a mixed load for hours, while faults are injected, in pieces that one report joins (docs/soak.md)."""
