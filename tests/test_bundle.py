"""The browser's modules are joined without sharing names."""

import json
import shutil
import subprocess

import pytest

from pixelcnn.ui.browser import bundle


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)

    def write(**modules):
        for name, source in modules.items():
            (tmp_path / f"{name}.js").write_text(source)
        return bundle.bundle("entry.js")

    return write


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_modules_share_only_what_they_import(write, tmp_path):
    script = write(
        shared="const x = 1;\nexport function one() { return x; }\nexport const TWO = 2;",
        left='import { one } from "./shared.js";\nexport class Same { get() { return one(); } }',
        right='import {\n  TWO as two,\n} from "./shared.js";\n'
        "export class Same { get() { return two; } }",
        entry='import { Same } from "./left.js";\nimport { Same as Other } from "./right.js";\n'
        "export default [new Same().get(), new Other().get(), typeof x];",
    )
    (tmp_path / "out.mjs").write_text(script + "console.log(JSON.stringify(module3.byDefault));")
    told = subprocess.run(["node", tmp_path / "out.mjs"], capture_output=True, check=True)
    assert json.loads(told.stdout) == [1, 2, "undefined"]
    assert script.count("const x = 1;") == 1  # imported twice, written once


def test_a_wrong_import_is_named(write):
    with pytest.raises(ValueError, match="entry.js imports `two` from a.js, which exports one"):
        write(a="export const one = 1;", entry='import { two } from "./a.js";')
    with pytest.raises(ValueError, match="circle: entry.js > a.js > entry.js"):
        write(a='import { b } from "./entry.js";', entry='import { a } from "./a.js";')
    with pytest.raises(ValueError, match="entry.js has `import a from"):
        write(entry='import a from "./a.js";')
