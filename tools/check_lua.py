"""Compares the header of every Lua function with its body and its Python wrapper, and checks sizes.

A header is the comment above a registered function: a sentence, then KEYS, ARGV, gives and codes. Wrappers
are written from what it says, so it may not drift. Where a wrapper passes its arguments as one list, their
number cannot be read here; the integration tests call it.

It also finds fields of executions that no document would keep.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ff_core.errors import ErrorCode
from ff_lua import SOURCES

ROOT = Path(__file__).resolve().parent.parent
LUA = ROOT / "lua/ff_lua"
WRAPPERS = ROOT / "core/ff_core/store/functions"

LONGEST_FILE, LONGEST_FUNCTION = 400, 80
#: Valkey refuses a library with more than 200 local variables in sight at once.
MOST_LOCALS = 150
CODES = frozenset(code.name for code in ErrorCode)
#: Arguments luacheck needs to know what Valkey and the assembler provide.
LUACHECK = (
    "--no-config", "--no-color", "-q", "--std", "lua51", "--no-max-line-length",
    "--globals", "ff", "--read-globals", "redis", "cjson", "cmsgpack", "register", "LIBRARY", "EVENTS_KEPT",
    "--ignore", "211/register",
)  # fmt: skip

#: Fields of a loaded execution that are the call's and never written.
OF_THE_CALL = frozenset(
    {"id", "prefix", "is_dirty", "score", "was", "ended", "suspension", "waitpoints", "unsaved"}
)
SET_FIELD = re.compile(r"\bx\.(\w+)(?=(?:\s*,\s*\w+\.\w+)*\s*=(?!=))")
SPEC_FIELD = re.compile(r'\bspec(?:\[| .*= \{)"(\w+)"')

SECTIONS = ("KEYS", "ARGV", "gives", "codes")
FUNCTION = re.compile(r"^(\s*)(local function (\w+)|function (\w+[.]\w+))\(")
REGISTER = re.compile(r"^\s*register\('(\w+)', (\w+)\)")
SECTION = re.compile(r"^(KEYS|ARGV|gives|codes)\s+(.*)")
NUMBERED = re.compile(r"^(\d+)(\.\.)?(?:\s|$)")
LITERAL = re.compile(r"'([A-Z][A-Z_]+)'")
#: Lines that give a code to the caller, rather than compare it or pass it on.
ANSWER = re.compile(r"\breturn\b(?!\s+ff\.\w+\()|^\s*(?:local )?(?:code|refusal) =(?!=)|\] = '")
CALL = re.compile(r"\b((?:ff\.)?\w+)(?:\[\w+\])?\(")


@dataclass
class Function:
    """One Lua function: where it is, its text, and the comment above it."""

    path: Path
    name: str
    line: int
    lines: list[str]
    header: dict[str, list[str]]

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def codes(self) -> set[str]:
        """The codes its header lists."""
        return set(" ".join(self.header.get("codes", [])).split()) - {"none"}

    @property
    def arguments(self) -> tuple[int, bool]:
        """How many arguments come first, and whether any number may follow."""
        found = [match for line in self.header.get("ARGV", []) if (match := NUMBERED.match(line))]
        follows = any(match[2] for match in found)
        return len(found) - follows, follows


@dataclass
class Library:
    """All functions, by "file:name" for locals and "ff.name" for shared ones, and the registered names."""

    functions: dict[str, Function] = field(default_factory=dict)
    registered: dict[str, Function] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def find(self, path: Path, name: str) -> Function | None:
        return self.functions.get(f"{path.name}:{name}") or self.functions.get(name)

    def codes(self, function: Function, pattern: re.Pattern[str], seen: set[str] | None = None) -> set[str]:
        """The codes on lines like `pattern`, here and in every function called from here."""
        seen = set() if seen is None else seen
        found: set[str] = set()
        for line in function.lines:
            code = line.partition("--")[0]
            if pattern.search(code):
                found |= CODES & set(LITERAL.findall(code))
            for name in CALL.findall(code):
                called = self.find(function.path, name)
                if called and called.name not in seen:
                    seen.add(called.name)
                    found |= self.codes(called, pattern, seen)
        return found


def read(path: Path, library: Library) -> None:
    """Adds the functions of one file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    where = str(path.relative_to(ROOT))
    if len(lines) > LONGEST_FILE:
        library.problems.append(f"{where}:1: {len(lines)} lines; {LONGEST_FILE} are the most")
    local_lines = [number for number, line in enumerate(lines, 1) if re.match(r" {0,2}local ", line)]
    if len(local_lines) > MOST_LOCALS:
        library.problems.append(
            f"{where}:{local_lines[-1]}: {len(local_lines)} locals; {MOST_LOCALS} are the most"
        )
    for number, line in enumerate(lines):
        if match := FUNCTION.match(line):
            end = next((at for at in range(number + 1, len(lines)) if lines[at] == match[1] + "end"), number)
            name = match[3] or match[4]
            function = Function(path, name, number + 1, lines[number : end + 1], header(lines, number))
            library.functions[name if match[4] else f"{path.name}:{name}"] = function
            if len(function.lines) > LONGEST_FUNCTION:
                library.problems.append(f"{function.place}: {name} has {len(function.lines)} lines")
        elif match := REGISTER.match(line):
            registered = library.functions.get(f"{path.name}:{match[2]}")
            if registered is None or match[1] != match[2]:
                library.problems.append(f"{where}:{number + 1}: register a local function under its own name")
            else:
                library.registered[match[1]] = registered
        if "'TIME'" in line and path.name != "prelude.lua":
            library.problems.append(f"{where}:{number + 1}: the time comes from ff.now_ms()")


def header(lines: list[str], number: int) -> dict[str, list[str]]:
    """The comment above a line, by section; the sentence is under ""."""
    start = number
    while start > 0 and lines[start - 1].lstrip().startswith("-- ") | (lines[start - 1].strip() == "--"):
        start -= 1
    sections: dict[str, list[str]] = {}
    current = sections.setdefault("", [])
    for line in lines[start:number]:
        text = line.strip().removeprefix("--").strip()
        if match := SECTION.match(text):
            current = sections.setdefault(match[1], [])
            text = match[2]
        if text:
            current.append(text)
    return sections


def header_problems(library: Library, name: str, function: Function) -> Iterator[str]:
    """Where a header is incomplete, or says other codes than the body."""
    if not function.header[""] or not " ".join(function.header[""]).endswith("."):
        yield f"{function.place}: {name} says in no sentence what it does"
    for section in SECTIONS:
        if not function.header.get(section):
            yield f"{function.place}: the header of {name} has no {section}"
    for code in sorted(function.codes - CODES):
        yield f"{function.place}: {name} lists {code}, which is not in ff_core/errors.py"
    for code in sorted(library.codes(function, ANSWER) - function.codes):
        yield f"{function.place}: {name} can answer {code}, its header does not say so"
    mentioned = library.codes(function, re.compile(""))
    for code in sorted((function.codes & CODES) - mentioned):
        yield f"{function.place}: {name} lists {code}, which it never answers"


def wrapper_problems(library: Library) -> Iterator[str]:
    """Where functions and wrappers do not pair off, or a call passes another number of arguments."""
    named: dict[str, list[str]] = {name: [] for name in library.registered}
    for path in sorted(WRAPPERS.glob("*.py")):
        where = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            callee, name = getattr(node.func, "attr", ""), node.args[0].value
            if name in named:
                named[name].append(f"{where}:{node.lineno}")
            elif callee.startswith("fcall"):
                yield f"{where}:{node.lineno}: calls {name!r}, which is not registered"
            if name in named and callee.startswith("fcall"):
                yield from _argument_problems(
                    f"{where}:{node.lineno}", library.registered[name], node.args[2:]
                )
    for name, places in named.items():
        if len(places) != 1:
            found = ", ".join(places) or "none"
            yield f"{library.registered[name].place}: {name} needs one wrapper, there is: {found}"


def _argument_problems(place: str, function: Function, arguments: list[ast.expr]) -> Iterator[str]:
    wanted, may_follow = function.arguments
    is_open = any(isinstance(argument, ast.Starred) for argument in arguments)
    given = sum(not isinstance(argument, ast.Starred) for argument in arguments)
    if is_open and not may_follow:
        yield f"{place}: {function.name} takes {wanted} arguments, not a list"
    elif not is_open and (given < wanted or (given > wanted and not may_follow)):
        yield f"{place}: {function.name} takes {wanted} arguments, the wrapper passes {given}"


def field_problems() -> Iterator[str]:
    """Fields of executions that are set somewhere but written nowhere: they would be lost."""
    document = (LUA / "document.lua").read_text(encoding="utf-8")
    others = document.partition("local OTHERS = {")[2].partition("}")[0]
    packed = document.partition("local function pack(x)")[2].partition("\n  end")[0]
    written = set(re.findall(r"'(\w+)'", others)) | set(re.findall(r"\bx\.(\w+)", packed))
    sources = [(LUA / name, SET_FIELD) for name in SOURCES]
    for path, pattern in [*sources, (WRAPPERS / "execution.py", SPEC_FIELD)]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in pattern.findall(line.partition("--")[0]):
                if name not in written | OF_THE_CALL:
                    yield f"{path.relative_to(ROOT)}:{number}: document.lua does not write the field {name}"


def luacheck_problems() -> Iterator[str]:
    """What luacheck finds, where it is installed (Debian: lua-check)."""
    program = shutil.which("luacheck")
    if program is None:
        return
    # Files first: the options that take names would swallow them.
    command = [program, *(str((LUA / name).relative_to(ROOT)) for name in SOURCES), *LUACHECK]
    run = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    found = [line.strip() for line in run.stdout.splitlines() if re.match(r"\s+\S+\.lua:", line)]
    yield from found
    if run.returncode and not found:
        yield f"lua/ff_lua:1: luacheck failed with status {run.returncode}"


def problems() -> Iterator[str]:
    """Everything wrong, as "file:line: what"."""
    library = Library()
    for name in SOURCES:
        read(LUA / name, library)
    for path in sorted(LUA.glob("*.lua")):
        if path.name not in SOURCES:
            yield f"{path.relative_to(ROOT)}:1: not in ff_lua.SOURCES, so not part of the library"
    yield from library.problems
    for name, function in library.registered.items():
        yield from header_problems(library, name, function)
    yield from wrapper_problems(library)
    yield from field_problems()
    yield from luacheck_problems()


def main() -> None:
    found = list(problems())
    for problem in found:
        print(problem)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
