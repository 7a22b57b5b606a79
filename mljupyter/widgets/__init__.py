"""Widgets: wizards that ask, and panels that show what is going on. Each is a view; nothing depends on one."""

from mljupyter.widgets.opening import attach_wizard, compare_wizard, deploy_wizard, register_wizard, traffic_wizard

__all__ = ["attach_wizard", "compare_wizard", "deploy_wizard", "register_wizard", "traffic_wizard"]
