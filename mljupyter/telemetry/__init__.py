"""What is known of requests after they were answered, and where it goes."""
