"""Widgets: wizards (forms) and live panels. They are views only; endpoints do not depend on them."""

from mljupyter.widgets.opening import attach_wizard, compare_wizard, deploy_wizard, register_wizard, traffic_wizard

__all__ = ["attach_wizard", "compare_wizard", "deploy_wizard", "register_wizard", "traffic_wizard"]
