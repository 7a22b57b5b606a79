"""Mapping from conda package names to PyPI names."""

from __future__ import annotations

import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Packages that conda-forge and PyPI give different names; all others that are on both have the same one.
PIP_NAMES = {
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "keras-gpu": "keras",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "py-lightgbm": "lightgbm",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pytables": "tables",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-kubernetes": "kubernetes",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ruamel_yaml": "ruamel.yaml",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "uvicorn-standard": "uvicorn[standard]",
}

# Libraries that wheels bring along, and names without a meaning outside of conda.
_PART_OF_WHEELS = _names(
    """
    _libgcc_mutex _openmp_mutex blas blas-devel bzip2 ca-certificates cpuonly cudatoolkit cudnn icu intel-openmp libblas
    libcblas libffi libgcc libgcc-ng libgomp liblapack libopenblas libstdcxx libstdcxx-ng llvm-openmp mkl mkl-service
    mkl_fft mkl_random nccl ncurses nomkl openblas openmp openssl pip python_abi pytorch-cuda pytorch-mutex readline
    sqlite tbb tk tzdata wheel xz zlib zstd
    """
)
_PART_OF_WHEELS_PATTERN = re.compile(r"cuda-.+|ld_impl_.+|libgfortran.*|mutex_.+")

# Programs and libraries that are not Python packages. For some of them, PyPI has an unrelated package of that name.
_NOT_PYTHON = _names(
    """
    autoconf automake bash boost-cpp bowtie bowtie2 bwa c-compiler compilers curl cxx-compiler eigen expat ffmpeg fftw
    fortran-compiler freetype gcc gdal-bin geos gfortran ghostscript git git-lfs glib glpk gmp graphviz gsl gxx hdf5
    imagemagick jpeg jq krb5 leptonica lzo make maven mpich mysql nasm nodejs openjdk openmpi pandoc perl pkg-config
    poppler postgresql proj proj4 qt qt-main ruby rust samtools snappy sox suitesparse swig tesseract texlive-core
    unixodbc unzip vim wget wkhtmltopdf yarn zip
    """
)
_NOT_PYTHON_PATTERN = re.compile(r"r-.+|lib.+|java-.+|binutils.*|.+_(?:linux|osx|win)-\w+")
_PYTHON_IN_SPITE_OF_ITS_NAME = frozenset({"libcst", "librosa", "libpysal", "libsass", "libtmux"})


def pip_name(conda_name: str) -> str:
    """Return the name of a conda package on PyPI."""
    return PIP_NAMES.get(conda_name, conda_name)


def is_part_of_wheels(conda_name: str) -> bool:
    """Return whether a conda package is a run-time library that Python wheels bring along."""
    return conda_name in _PART_OF_WHEELS or _PART_OF_WHEELS_PATTERN.fullmatch(conda_name) is not None


def is_python_package(conda_name: str) -> bool:
    """Return whether a conda package may be a Python package. Only a look at a package index can confirm it."""
    if conda_name in _PYTHON_IN_SPITE_OF_ITS_NAME:
        return True
    return conda_name not in _NOT_PYTHON and _NOT_PYTHON_PATTERN.fullmatch(conda_name) is None
