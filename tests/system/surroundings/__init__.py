"""The life of an endpoint in a container of an odd shape: `life_cycle.py` runs there, without root rights."""
