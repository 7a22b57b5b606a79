from __future__ import annotations

import pytest

from mljupyter.build.images import ImageError, Reference, reference_for


@pytest.mark.parametrize(
    ("text", "host", "path", "version"),
    [
        ("python", "registry-1.docker.io", "library/python", "latest"),
        ("python:3.11-slim", "registry-1.docker.io", "library/python", "3.11-slim"),
        ("team/python", "registry-1.docker.io", "team/python", "latest"),
        ("docker.io/library/python:3", "registry-1.docker.io", "library/python", "3"),
        ("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000", "a/b/c", "1"),
        ("localhost/a", "localhost", "a", "latest"),
        (f"r.io/a@sha256:{'0' * 64}", "r.io", "a", f"sha256:{'0' * 64}"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, host: str, path: str, version: str) -> None:
    reference = Reference.parse(text)
    assert (reference.host, reference.path, reference.version) == (host, path, version)


@pytest.mark.parametrize("text", ["", "A", "a b", "a:", "r.io/", "a:b:c", "a@sha256:1", "-a", "a/../b", "a;rm"])
def test_what_is_no_reference_is_refused_with_the_rule(text: str) -> None:
    if text == "a:":  # Docker takes an empty tag for none
        assert Reference.parse(text).version == "latest"
        return
    with pytest.raises(ImageError, match="Rule:"):
        Reference.parse(text)


def test_image_names_become_repositories() -> None:
    digest = f"sha256:{'ab' * 32}"
    assert reference_for("My_Image.v2", 3, digest) == "mljupyter/my-image-v2:3-abababababab"
    assert reference_for("a", 1, digest, "127.0.0.1:5000") == "127.0.0.1:5000/mljupyter/a:1-abababababab"
