"""Wizards: pages of a form that end in a registered model, a deployment or a traffic change."""
