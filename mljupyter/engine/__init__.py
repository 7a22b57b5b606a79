"""Pure decisions: from what is wanted and what is observed to what to do. No I/O, and no clock of its own."""
