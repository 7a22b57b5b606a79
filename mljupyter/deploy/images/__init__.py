"""Images of deployments: found by their plan, or built; pulled, tagged, tested, removed."""
