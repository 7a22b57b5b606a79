"""The example of docs/jupyterlab.md for other extensions, compiled against the types of the extension."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTENSION = ROOT / "labextension"
TYPES = EXTENSION / "lib" / "index.d.ts"
COMPILER = EXTENSION / "node_modules" / "typescript" / "bin" / "tsc"
BLOCK = re.compile(r'```typescript title="index.ts"\n(.+?)```', re.DOTALL)
OPTIONS = {
    "strict": True,
    "noEmit": True,
    "skipLibCheck": True,
    "module": "esnext",
    "moduleResolution": "bundler",
    "target": "ES2022",
    "lib": ["DOM", "DOM.Iterable", "ES2022"],
    "jsx": "react",
    "types": [],
    "paths": {
        "mljupyter-labextension": [str(TYPES)],
        "*": [str(EXTENSION / "node_modules" / "*")],
    },
}


WRONG = {
    "event.ts": ("event.kind === 'failed'", "event.kind === 'fails'", "TS2367"),
    "option.ts": ("rank: 55", "at: 5", "TS2353"),
}


def test_the_example_for_other_extensions_fits_the_types_and_mistakes_do_not(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not COMPILER.is_file() or not TYPES.is_file():
        pytest.skip("needs the types of labextension/; make labextension builds them")
    found = BLOCK.search((ROOT / "docs" / "jupyterlab.md").read_text())
    assert found is not None
    (tmp_path / "index.ts").write_text(found[1])
    for name, (right, wrong, _) in WRONG.items():
        assert right in found[1]
        (tmp_path / name).write_text(found[1].replace(right, wrong))
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "include": ["*.ts"]}))
    ended = subprocess.run([node, COMPILER, "-p", tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = dict(re.findall(r"^(\S+?)\(\d+,\d+\): error (TS\d+)", ended.stdout, re.MULTILINE))
    assert errors == {name: code for name, (_, _, code) in WRONG.items()}, ended.stdout
