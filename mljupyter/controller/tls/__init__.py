"""TLS and tokens: certificates, the workspace's certificate authority, signing keys."""
