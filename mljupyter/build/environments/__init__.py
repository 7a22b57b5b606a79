"""Python environments: definitions, resolved requirements, and the environments that uv makes of them."""
