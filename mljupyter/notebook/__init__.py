"""The shared part of magics and widgets: options, sources, plans, views and the kernel's session."""
