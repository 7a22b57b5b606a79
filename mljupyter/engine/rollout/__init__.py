"""Traffic between versions: shares, rollouts in steps with a guard, and the target of a rollback."""
