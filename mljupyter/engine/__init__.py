"""Pure decisions: actions computed from the desired and the observed state. No I/O, and no clock."""
