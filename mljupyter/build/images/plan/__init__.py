"""Image plans: what an image consists of, decided before the build, and its digest."""
