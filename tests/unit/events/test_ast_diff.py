"""What changed between two versions of a source, and the way back, byte for byte."""

from __future__ import annotations

import argparse
import ast
import json
import optparse
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from event_samples import PROGRAM
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import ConfigError
from unspool.events import AstDiffOperation, InvalidEvent, apply_ast_diff, ast_diff, canonical_json
from unspool.events.replay import apply_operations
from unspool.events.source_diff import is_shallow, newer_statements, python_tree
from unspool.events.tree_edits import SourceNode, common_blocks, gaps, json_tree, text_hunks, walk
from unspool.model.json_exact import parse_doubles

LIBRARY = Path(argparse.__file__).parent


def paths(operations: tuple[AstDiffOperation, ...]) -> list[str]:
    """Return where operations are, in the order of the text."""
    return [operation.path for operation in reversed(operations)]


def checked(old: str, new: str, language: str | None = None) -> tuple[AstDiffOperation, ...]:
    """Diff two sources and make sure that the way there leads there."""
    operations, scope = ast_diff(old, new, language)
    assert apply_ast_diff(old, operations) == new
    assert apply_ast_diff(old, [operation.to_wire() for operation in operations]) == new
    assert (scope.changed_nodes > 0) == (old != new)
    return operations


SHOP = textwrap.dedent('''\
    """A shop."""
    import os

    LIMIT = 3


    class Cart:
        """Holds items."""

        size = 0

        @property
        def total(self):
            # all of them
            return sum(self.items)

        def add(self, item):
            if item:
                self.items.append(item)
            else:
                raise ValueError(item)


    def main():
        cart = Cart()
        cart.add(1)
        return cart
''')


@pytest.mark.parametrize(
    ("old", "new", "changed", "functions"),
    [
        ("LIMIT = 3", "LIMIT = 4", ["body.2"], ()),
        ("cart.add(1)", "cart.add(2)", ["functions.main.body.1"], ("main",)),
        ("    cart.add(1)\n", "", ["functions.main.body.1"], ("main",)),
        ("    cart.add(1)\n", "    cart.add(1)\n    cart.add(2)\n", ["functions.main.body.2"], ("main",)),
        ("size = 0", "size = 1", ["classes.Cart.body.1"], ()),
        ("# all of them", "# every one", ["classes.Cart.functions.total.head"], ("Cart.total",)),
        ("@property", "@cached_property", ["classes.Cart.functions.total.head"], ("Cart.total",)),
        ("def add(self, item)", "def put(self, item)", ["classes.Cart.functions.add.head"], ("Cart.add",)),
        ("raise ValueError(item)", "pass", ["classes.Cart.functions.add.body.0.body.1"], ("Cart.add",)),
        ("import os", "import sys", ["body.1"], ()),
        ('"""A shop."""', '"""Two shops."""', ["body.0"], ()),
        ("    return cart\n", "    return cart\n\n# end\n", ["tail"], ()),
    ],
)
def test_e02_python_changes_are_told_by_function_class_and_statement(
    old: str, new: str, changed: list[str], functions: tuple[str, ...]
) -> None:
    after = SHOP.replace(old, new)
    assert paths(checked(SHOP, after, "python")) == changed
    assert ast_diff(SHOP, after)[1].affected_functions == functions


def test_e02_a_function_comes_and_goes_as_a_whole() -> None:
    more = SHOP + "\n\ndef extra():\n    return 1\n"
    (operation,) = checked(SHOP, more)
    assert (operation.path, operation.operation, operation.after) == (
        "functions.extra",
        "add",
        "\n\ndef extra():\n    return 1\n",
    )
    (operation,) = checked(more, SHOP)
    assert (operation.path, operation.operation, operation.before) == (
        "functions.extra",
        "remove",
        "\n\ndef extra():\n    return 1\n",
    )


def test_e05_scope_counts_nodes_and_names_functions() -> None:
    _, scope = ast_diff(SHOP, SHOP.replace("cart.add(1)", "cart.add(2)"))
    assert (scope.changed_nodes, scope.affected_functions) == (1, ("main",))
    without = SHOP[: SHOP.index("class Cart")] + SHOP[SHOP.index("def main") :]
    _, scope = ast_diff(SHOP, without)
    assert scope.affected_functions == ("Cart.total", "Cart.add")
    assert scope.changed_nodes > 8
    assert scope.total_nodes == sum(1 for _ in walk(python_tree(without).root))  # type: ignore[union-attr]
    _, scope = ast_diff('{"functions":{"main":{"body":1}}}', '{"functions":{"main":{"body":2}}}')
    assert scope.affected_functions == ("main",)


def test_two_functions_of_one_name_are_told_apart() -> None:
    source = "class A:\n    def f(self):\n        return 1\n\n    def f(self, x):\n        return 2\n"
    assert paths(checked(source, source.replace("return 2", "return 3"))) == ["classes.A.functions.f#2.body.0"]


def test_statements_that_share_a_line_are_one() -> None:
    source = "a = 1; b = 2\nif a: b = 3\nclass C: pass\ndef f(): return 1\n"
    changed = source.replace("b = 3", "b = 4").replace("return 1", "return 2")
    assert paths(checked(source, changed)) == ["body.1", "functions.f"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x = 1",
        "x = 1\r\ny = 2\r\n",
        "x = 1\ry = 2\r",
        "x = 1\n\r\ny = 2\n\r",
        "\ufeffx = 1\n",
        "\ufeffdef f():\n\treturn 1\n",
        "\x0cdef f():\n\tpass\n\x0c\n# end",
        "def f():\n  if x:\n\treturn 'tab after spaces'\n",
        "s = '''a\r\nb\x85\u2028c'''\n",
        "é = 'ünïcödé 🎉'\n",
        "x = \\\n  1\n",
        "def broken(:\n    pass\n",
        "x = '\x00'\n",
        "\ud800",
        "# only a comment",
        "\n\n\n",
        "@a\n@b(1)\n# c\nclass C:\n\n    x: int\n\n\n    async def f(self): ...\n",
        "match x:\n    case 1:\n        y()\n    case _:\n        pass\n",
        "try:\n    a\nexcept E:\n    b\nelse:\n    c\nfinally:\n    d\n",
        "for i in x:\n    a\nelse:\n    b\nwhile 1:\n    c\nwith a as b, c:\n    d\n",
    ],
)
@pytest.mark.parametrize("language", [None, "python", "text"])
def test_any_text_is_reached_from_any_other(text: str, language: str | None) -> None:
    for other in (PROGRAM, text + "y = 2\n", "y = 2\n" + text, text.replace("\n", "\r\n"), text[1:], ""):
        checked(text, other, language)
        checked(other, text, language)


def mutations(source: str) -> list[str]:
    """Change a real module in ways that still parse: in bodies, by whole functions, in layout."""
    tree = python_tree(source)
    assert tree is not None
    functions = [node for node in walk(tree.root) if (node.name or "").startswith("functions.")]
    cut = functions[len(functions) // 2]
    moved = functions[len(functions) // 3]
    return [
        source[: cut.start] + source[cut.end :],
        source.replace("return ", "return  ", 3).replace("self", "this", 40),
        source[: cut.start] + "\n# moved\n" + source[moved.start : moved.end] + source[cut.start :],
        source.replace("\n", "\r\n"),
        source.rstrip("\n"),
        "\ufeff" + source + "\n\x0c\n",
    ]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ["argparse", "textwrap", "bisect", "dataclasses", "contextlib"])
def test_standard_library_modules_survive_real_changes(name: str) -> None:
    source = (LIBRARY / f"{name}.py").read_text()
    for changed in mutations(source):
        operations = checked(source, changed, "python")
        checked(changed, source, "python")
        assert not any(operation.path.startswith("lines.") for operation in operations)


def test_two_unrelated_modules_are_reached_from_each_other() -> None:
    checked(Path(argparse.__file__).read_text(), Path(optparse.__file__).read_text(), "python")


def test_a_small_change_of_a_large_module_is_a_small_diff() -> None:
    source = Path(argparse.__file__).read_text()
    changed = source.replace("return action", "return  action", 1)
    (operation,) = checked(source, changed, "python")
    assert len(json.dumps(operation.to_wire())) < 300


@given(
    st.lists(st.sampled_from(["a\n", "b\n", "c", "\r\n", "\r", "d e\n", "é\n", "\x0c\n", "x" * 250]), max_size=14),
    st.lists(st.sampled_from(["a\n", "b\n", "c", "\r\n", "\r", "d e\n", "é\n", "\x0c\n", "x" * 260]), max_size=14),
)
def test_lines_of_any_text_come_back(old: list[str], new: list[str]) -> None:
    operations = checked("".join(old), "".join(new), "text")
    assert all(operation.path.startswith("lines.") for operation in operations)


def test_e19_other_text_is_told_by_lines() -> None:
    old = "one\ntwo\nthree\nfour\n"
    operations = checked(old, "one\n2\nthree\nfour\nfive\n", "text")
    assert paths(operations) == ["lines.1", "lines.4"]
    assert [operation.operation for operation in operations] == ["add", "modify"]
    assert checked(old, "one\nfour\n", "text")[0].operation == "remove"


def test_one_long_line_is_cut_down_to_what_changed() -> None:
    old = "x" * 5000 + "middle" + "y" * 5000
    (operation,) = checked(old, old.replace("middle", "centre"), "text")
    assert (operation.before, operation.after, operation.at) == ("middle"[:-1], "centr", 5000) or (
        len(operation.cut_text) <= 6 and len(operation.put_text) <= 6
    )


STATEMENTS = st.recursive(
    st.sampled_from(["x = 1", "y = '''a\n  b'''", "pass", "# note\nz()", "import os", "f(\n  1,\n)"]).map(
        lambda text: [text]
    ),
    lambda inner: st.tuples(
        st.sampled_from(["def f():", "def g(a,\n      b):", "class C:", "if x:", "for i in y:", "@d\ndef f():"]),
        st.lists(inner, min_size=1, max_size=3),
    ).map(lambda pair: [pair[0], *(textwrap.indent("\n".join(block), "    ") for block in pair[1])]),
    max_leaves=8,
)


@given(st.lists(STATEMENTS, max_size=5), st.lists(STATEMENTS, max_size=5))
def test_generated_programs_are_reached_from_each_other(old: list[list[str]], new: list[list[str]]) -> None:
    before, after = ("\n".join("\n".join(block) for block in blocks) for blocks in (old, new))
    checked(before, after, "python")
    checked(before, before + "\n" + after, "python")


KEYS = st.sampled_from(["a", "b", "c.d", "functions", "1", "", "e\\f", "é", "__proto__"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([1.5, "x", "two words", "é🎉", "l" * 300])
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
    ),
    max_size=4,
)
LAYOUTS = st.sampled_from(
    [
        canonical_json,
        json.dumps,
        lambda value: json.dumps(value, indent=2) + "\n",
        lambda value: json.dumps(value, indent="\t", ensure_ascii=False).replace("\n", "\r\n"),
        lambda value: " \n" + json.dumps(value, separators=(" , ", " : ")),
    ]
)


@given(DOCUMENTS, DOCUMENTS, LAYOUTS, LAYOUTS)
def test_json_documents_come_back_in_their_own_layout(old: object, new: object, one: object, other: object) -> None:
    before, after = one(old), other(new)  # type: ignore[operator]
    checked(before, after)
    checked(before, after, "json")


@given(DOCUMENTS, DOCUMENTS)
def test_e04_between_canonical_documents_operations_are_values_alone(old: object, new: object) -> None:
    before, after = canonical_json(old), canonical_json(new)
    operations, _ = ast_diff(before, after, "json")
    if '"":' in before + after or "lll" in before + after:
        return
    assert all(operation.at is None and operation.cut is None for operation in operations)
    model = parse_doubles(before)
    apply_operations(model, operations)
    assert canonical_json(model) == after


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('{"a": {"b": 1}}', '{"a": {"b": 2}}', [("a.b", "modify", 1, 2)]),
        ('{"a": 1}', '{"a": 1, "b": [1]}', [("b", "add", None, [1])]),
        ('{"a": 1, "b": 2}', '{"b": 2}', [("a", "remove", 1, None)]),
        ('{"l": [1, 2, 3]}', '{"l": [1, 3]}', [("l.1", "remove", 2, None)]),
        ('{"l": []}', '{"l": [{"x.y": null}]}', [("l.0", "add", None, {"x.y": None})]),
        ('[{"x.y": 1}]', '[{"x.y": true}]', [("0.x\\.y", "modify", 1, True)]),
        ('{"a": {}}', '{"a": []}', [("a", "modify", {}, [])]),
    ],
)
def test_e02_json_changes_are_told_by_key_and_index(old: str, new: str, told: list[tuple[object, ...]]) -> None:
    for before, after in ((old, new), (canonical_json(json.loads(old)), canonical_json(json.loads(new)))):
        operations = checked(before, after)
        assert [
            (each.path, each.operation.value, each.before or None, each.after if each.operation != "remove" else None)
            for each in reversed(operations)
        ] == [(path, kind, before or None, after) for path, kind, before, after in told]


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "{", '{"a":1}x', "1", '"text"', "[1,]", "NaN"])
def test_what_is_no_plain_document_is_told_by_lines(text: str) -> None:
    assert json_tree(text) is None
    assert paths(checked(text, text + " ", "json")) == ["lines.0"]


DEEP = {
    "parentheses": "x = " + "(" * 20_000 + ")" * 20_000,
    "sums": "x = " + "+".join("a" * 20_000),
    "calls": "x = a" + "(b, c)" * 20_000,
    "attributes": "x = a" + ".b" * 20_000,
    "signs": "x = " + "-" * 20_000 + "1",
    "elifs": "if a: pass\n" + "elif a:\n  if a: pass\n" * 20_000,
    "lambdas": "x = " + "lambda a, b:" * 20_000 + "1",
    "comprehensions": "x = [a " + "for a, b in c " * 20_000 + "]",
    "strings": "x = " + '"a" ' * 20_000,
    "fields": 'x = f"{' + "(" * 20_000 + ")" * 20_000 + '}"',
    "negations": 'x = f"{' + "not " * 20_000 + '1}"',
    "blocks": "".join(" " * level + "if a:\n" for level in range(500)) + " " * 500 + "pass\n",
    "newer": "type X = int\nx = " + "-" * 20_000 + "1",
    "lists": "[" * 10_000 + "]" * 10_000,
    "objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", DEEP)
def test_no_depth_crashes_a_parser(name: str) -> None:
    checked(DEEP[name], DEEP[name] + "\n", None)


def test_a_long_text_without_an_end_is_no_python_however_it_goes_on() -> None:
    # Behind each of its quotes the rest would be gone through to the end, in vain.
    assert not is_shallow("''' ',\\" * 20_000)
    assert is_shallow("x = '''a 'b' \\''' c''', '' 'd', \"\" \"e\"\n")


def test_all_of_the_standard_library_is_shallow_enough() -> None:
    for path in sorted(LIBRARY.glob("[a-d]*.py")):
        assert is_shallow(path.read_text("utf-8", errors="replace")), path.name


def tiles(node: SourceNode) -> bool:
    """Whether a node's children tile it."""
    if not node.children:
        return True
    edges = [child.start for child in node.children[1:]] + [node.end]
    return node.children[0].start == node.body and all(
        child.end == edge for child, edge in zip(node.children, edges, strict=True)
    )


NEWER = textwrap.dedent("""\
    type Pairs[T] = list[T]

    class Box[T]:
        # a box
        @d
        def get(self, x: T) -> T:
            if x:
                return f"{x["a"]}"
            elif y:
                z()
            else:
                pass

    try:
        import a
    except* ValueError:
        a = 1
    finally:
        b = 2

    match a:
        case 1:
            c()
    for i in a: pass
""")


def test_newer_grammar_is_told_too() -> None:
    changed = NEWER.replace("z()", "zz()").replace("c()", "cc()")
    assert paths(checked(NEWER, changed, "python")) == [
        "classes.Box.functions.get.body.0.body.1.body.0",
        "body.2.body.0",
    ]
    tree = python_tree(NEWER)
    assert tree is not None
    assert all(tiles(node) for node in walk(tree.root))
    assert newer_statements("def broken(:") is None


def test_both_parsers_tell_the_same_of_plain_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_code: str) -> ast.Module:
        raise SyntaxError

    for source in (SHOP, Path(textwrap.__file__).read_text()):
        expected = python_tree(source)
        with monkeypatch.context() as patch:
            patch.setattr("unspool.events.source_diff.ast.parse", refuse)
            assert python_tree(source) == expected


def test_libcst_is_not_loaded_for_plain_grammar() -> None:
    import subprocess

    code = (
        "import sys; from unspool.events import ast_diff; ast_diff('x = 1\\n', 'x = 2\\n'); ast_diff('a b', 'a c');"
        " sys.exit('libcst' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="cobol"):
        ast_diff("a", "b", "cobol")


def test_operations_that_do_not_fit_are_refused() -> None:
    operations, _ = ast_diff(PROGRAM, PROGRAM.replace("hello", "hi"))
    with pytest.raises(InvalidEvent):
        apply_ast_diff("something else", operations)
    assert apply_ast_diff("same", []) == "same"


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.lists(st.sampled_from("abcdef"), max_size=30))
def test_common_blocks_are_common_and_in_order(old: list[str], new: list[str]) -> None:
    blocks = common_blocks(old, new)
    for (left, right, size), (next_left, next_right, _) in pairwise(blocks):
        assert left + size <= next_left
        assert right + size <= next_right
    assert all(old[left : left + size] == new[right : right + size] for left, right, size in blocks)
    rebuilt: list[str] = []
    done = 0
    for old_start, old_end, new_start, new_end in gaps(blocks, len(old), len(new)):
        rebuilt += old[done:old_start] + new[new_start:new_end]
        done = old_end
    assert rebuilt + old[done:] == new


def test_long_sequences_without_anchors_stay_quick() -> None:
    old, new = ["a\n", "b\n"] * 30_000, ["b\n", "b\n", "a\n"] * 20_000
    assert sum(size for _, _, size in common_blocks(old, new)) < len(old)
    assert text_hunks("x\n" * 50_000, "x\n" * 49_000)[0].new_start in {0, 2 * 49_000}


@pytest.mark.parametrize("language", ["python", "text"])
def test_a_diff_of_many_changes_is_no_longer_than_both_texts(language: str) -> None:
    old = "if ready:\n" + "".join(f"    value_{number} = {number}\n" for number in range(800))
    new = old.replace("\n    ", "\n        ").replace("if ready:", "if ready:\n    if True:")
    operations = checked(old, new, language)
    assert len(json.dumps([operation.to_wire() for operation in operations])) < 1.3 * (len(old) + len(new))
    few = checked(old, old.replace("value_7 = 7\n", "value_7 = 8\n"), language)
    assert len(json.dumps([operation.to_wire() for operation in few])) < 200
