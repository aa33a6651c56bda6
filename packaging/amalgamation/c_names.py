"""The names that a C file defines at file scope, and their renaming. It reads C as clang-format lays it out; a compiler
finds what it misses, since an amalgamation with a clash does not compile."""
import re

STRING = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
TOKEN = re.compile(r"\#\s*include[^\n]*|/\*.*?\*/|" + STRING + r"|[A-Za-z_]\w*|\d[\w.]*|->|\s+|.", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:.*\\\n)*.*$", re.M)
ATTRIBUTE = re.compile(r"__attribute__\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)")
INVOCATION = re.compile(r"^[A-Z]\w*\((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\)|\n\s)*\)\n", re.M)  # without a semicolon
SELECT = re.compile(r"^WG__SELECT\((\w+),", re.M)  # ops/internal.h: defines a static function
MEMBER_ENDS = (",", ";", "[", ":")
KEYWORDS = {"static", "inline", "const", "void", "struct", "union", "enum", "typedef", "extern", "volatile", "restrict",
            "unsigned", "signed", "int", "char", "short", "long", "float", "double", "bool", "sizeof", "_Atomic",
            "INLINE", "VINLINE", "_Thread_local", "WG__K"}


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def macros(text):
    return set(re.findall(r"^[ \t]*#\s*define (\w+)", without_comments(text), re.M))


def statements(text):
    """The declarations at file scope, as (text before the first brace, text inside of it, text after it)."""
    code = ATTRIBUTE.sub(" ", without_comments(text))
    code = INVOCATION.sub("", re.sub(STRING, "0", DIRECTIVE.sub("", code)))
    depth, parts = 0, ["", "", ""]
    for token in re.findall(r"[{};]|[^{};]+", code):
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if depth == 0 and not re.search(r"\b(struct|union|enum)\b[^()]*$|=[^=]*$", parts[0]):
                yield parts
                parts = ["", "", ""]
        elif token == ";" and depth == 0:
            yield parts
            parts = ["", "", ""]
        elif depth:
            parts[1] += token + ";"
        else:
            parts[2 if parts[1] else 0] += token


def declared(text):
    """The names of a declaration without its bodies: of a function, or of variables separated by commas."""
    text = re.sub(r"=[^,]*", "", text)
    function = re.match(r"[^(]*?(\w+)\s*\(", text)
    if function and function[1] not in KEYWORDS:
        return {function[1]}
    return {m for part in re.sub(r"\[[^\]]*\]", "", text).split(",") for m in re.findall(r"(\w+)\s*\Z", part.strip())}


def defined(text):
    """Types, tags, enumeration constants, and static functions and variables."""
    names = set(SELECT.findall(text))
    for before, inside, after in statements(text):
        tag = re.search(r"\b(struct|union|enum)\s*(\w+)?\s*$", before)
        if tag and inside:
            names |= {tag[2]} - {None}
            if tag[1] == "enum":
                body = inside.replace(";", "")
                names |= set(re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"\([^()]*(?:\([^()]*\)[^()]*)*\)", "", body)))
        if "typedef" in before.split():
            pointer = re.search(r"\(\*\s*(\w+)\)", before + after)
            last = re.search(r"(\w+)\s*$", re.sub(r"\[[^\]]*\]", "", after if inside else before))
            names |= {pointer[1]} if pointer else {last[1]} if last else declared(before)
        elif re.match(r"[^(=]*\b(static|V?INLINE)\b", before):
            names |= declared(after if tag and inside else before)
    return {n for n in names - KEYWORDS if not n.isdigit()}


def pasted(text):
    """The literal pieces of names that macros paste together and define: _run of name##_run(...) {...}."""
    pieces = set()
    for name in re.findall(r"\b(?:static|V?INLINE) \w+ (\w+(?:##\w+)+)\(", text):
        pieces |= set([part for part in name.split("##") if part.startswith("_") or part.endswith("_")][:1])
    return pieces


def rename(text, names, suffix=""):
    """`text` with each of `names` replaced, except as a member of a struct or as the argument of WG__K. `suffix` is for
    the pieces of pasted names."""
    for piece in pasted(text) if suffix else ():
        new = piece.rstrip("_") + suffix + ("_" if piece.endswith("_") else "")
        text = re.sub(rf"##{piece}\b", f"##{new}", re.sub(rf"\b{piece}##", f"{new}##", text))
    if not names:
        return text
    out, structs, before = [], [], ""  # the last tokens but spaces and comments
    tokens = TOKEN.findall(text)
    for i, token in enumerate(tokens):
        if token == "{":
            structs.append(re.search(r"\b(struct|union)\b[^;(){}=]*$", before) is not None)
        elif token == "}" and structs:
            structs.pop()
        following = next((t for t in tokens[i + 1:i + 4] if not t.isspace()), "")
        member = before.endswith((" .", "->", "WG__K (")) or (structs and structs[-1] and following in MEMBER_ENDS)
        out.append(names[token] if token in names and not member else token)
        if not token.isspace() and not token.startswith("/*"):
            before = f"{before} {token}"[-200:]
    return "".join(out)
