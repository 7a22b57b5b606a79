"""The operator: the control plane of a cluster. It composes `controller.control_plane` with parts that use pods."""
