from __future__ import annotations

from pathlib import Path

from tests.durations import by_file, table

REPORT = """<testsuites><testsuite>
<testcase classname="tests.core.test_image.TestVersions" name="a" time="0.5"/>
<testcase classname="tests.core.test_image" name="b" time="0.25"/>
<testcase classname="tests.cli.test_live" name="c" time="2.25"/>
</testsuite></testsuites>"""


def test_the_seconds_of_tests_are_added_up_by_file_the_longest_first(tmp_path: Path) -> None:
    report = tmp_path / "tests.xml"
    report.write_text(REPORT)
    assert by_file(report) == {"tests/cli/test_live.py": [2.25], "tests/core/test_image.py": [0.5, 0.25]}
    assert "| tests/cli/test_live.py | 2.2 | 75.0% | 1 | 2.2 |" in table(report)
