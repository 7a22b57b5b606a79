"""The download of models from a container registry, which runs in the init container of a pod.

``python -m mljupyter.scoring.fetch`` writes each model to ``DIRECTORY/NAME/VERSION/ENTRY``. Every file is compared with
its digest before it gets its name. A download that was interrupted goes on where it ended, also in the next run.
"""
