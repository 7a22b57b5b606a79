"""Traffic between versions: shares, rollouts in steps with a guard, and where a rollback goes."""
