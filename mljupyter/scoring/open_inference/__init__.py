"""The Open Inference Protocol (version 2): its paths, its tensors, and the data of a script or model as tensors.

`routes` is for the server of a replica and imports the standard library only. The other modules are for the worker,
where the script's own NumPy is.
"""
