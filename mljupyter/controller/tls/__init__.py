"""TLS and tokens: certificates, the workspace's authority, signing keys."""
