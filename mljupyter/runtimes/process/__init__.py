"""The runtime of the target ``local``: replicas are processes of this user on this machine."""
