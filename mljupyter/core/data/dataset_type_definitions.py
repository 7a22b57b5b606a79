"""Constants of datasets.

Azure: azureml.data.dataset_type_definitions.
"""

from __future__ import annotations

from enum import Enum


class PromoteHeadersBehavior(Enum):
    """The lines with the names of columns, in the files of a tabular dataset.

    Example:
        >>> PromoteHeadersBehavior.NO_HEADERS.value
        0

    """

    NO_HEADERS = 0
    ONLY_FIRST_FILE_HAS_HEADERS = 1
    COMBINE_ALL_FILES_HEADERS = 2
    ALL_FILES_HAVE_SAME_HEADERS = 3


class SkipLinesBehavior(Enum):
    """The files whose first lines are skipped. Old scripts name it; no call here takes it."""

    NO_ROWS = 0
    FROM_FIRST_FILE_ONLY = 1
    FROM_ALL_FILES = 2


class FileEncoding(Enum):
    """The encoding of files. Old scripts name it; `from_delimited_files` takes texts such as ``utf8``."""

    UTF8 = 0
    ISO88591 = 1
    LATIN1 = 2
    ASCII = 3
    UTF16 = 4
    UTF32 = 5
    UTF8BOM = 6
    WINDOWS1252 = 7


class FileType(Enum):
    """The type of files. Old scripts name it; no call here takes it."""

    GENERIC_CSV = "GenericCSV"
    GENERIC_CSV_NO_HEADER = "GenericCSVNoHeader"
    GENERIC_TSV = "GenericTSV"
    GENERIC_TSV_NO_HEADER = "GenericTSVNoHeader"
    ZIP = "Zip"
    UNKNOWN = "Unknown"


class HistogramCompareMethod(Enum):
    """The distance of two histograms. Old scripts name it; no call here takes it."""

    WASSERSTEIN = 0
    ENERGY = 1
