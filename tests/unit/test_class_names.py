"""One name, one thing (STYLE.md, 24): it can be searched for, and a message that names it is clear."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import regfs


def test_each_name_of_a_class_occurs_once_in_the_package() -> None:
    names = Counter(
        node.name
        for path in Path(regfs.__file__).parent.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 200
    assert [name for name, count in names.items() if count > 1] == []
