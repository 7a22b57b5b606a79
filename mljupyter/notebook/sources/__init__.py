"""Sources of a deployment: scoring scripts, models, estimators, environments and variables of a notebook."""
