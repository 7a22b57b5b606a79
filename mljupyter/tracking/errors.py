"""The errors of experiments, runs, datastores and datasets."""

from __future__ import annotations

from mljupyter.errors import MLJupyterError


class TrackingError(MLJupyterError):
    """A value of a run, an experiment, a datastore or a dataset breaks a rule."""


class ExperimentNotFoundError(TrackingError):
    """No experiment has a name or id. The text starts with ``ExperimentNotFound:``."""


class RunNotFoundError(TrackingError):
    """No run has an id. The text starts with ``RunNotFound:``."""


class RunFileNotFoundError(TrackingError):
    """A run has no file of a name. The text starts with ``ArtifactNotFound:``."""


class DatastoreNotFoundError(TrackingError):
    """No datastore has a name. The text starts with ``DatastoreNotFound:``."""


class DatasetNotFoundError(TrackingError):
    """No dataset has a name, version or id. The text starts with ``DatasetNotFound:``."""


class DataError(TrackingError):
    """The files of a datastore or dataset cannot be listed, read or written."""
