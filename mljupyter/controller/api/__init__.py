"""The controller's HTTP interface on a Unix socket."""
