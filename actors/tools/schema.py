"""Function schemas: derived from Python source, and checked against a call's arguments.

The source is only parsed, never run, so a stranger's code can be described inside the server.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from storage.errors import InvalidArgument

RESERVED = frozenset({"self", "agent_state", "client", "agent_id"})
"""Parameters that the tool's runner fills in and the model never sees."""
NAME_LIMIT = 48
HEARTBEAT = "request_heartbeat"
THINKING = "thinking"

_Schema = dict[str, Any]
_PRIMITIVES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_CONTAINERS: dict[str, _Schema] = {
    "list": {"type": "array", "items": {"type": "string"}},
    "List": {"type": "array", "items": {"type": "string"}},
    "dict": {"type": "object"},
    "Dict": {"type": "object"},
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns?|Raises|Yields|Examples?|Notes?|Attributes):\s*$")
_ENTRY = re.compile(r"^\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?\s*:\s*(?P<text>.*)$")


class SchemaError(InvalidArgument):
    """Failed to derive json schema: the source does not describe a tool."""

    def __init__(self, message: str = "") -> None:
        prefix = "Failed to derive json schema: "
        super().__init__(message if not message or message.startswith(prefix) else prefix + message)


def derive(source: str, function: str | None = None, hidden: frozenset[str] = RESERVED) -> _Schema:
    """Describe a Python function as the model shall see it.

    Args:
        source: the text of a module.
        function: which of its functions; the last one when not given.
        hidden: parameters to leave out.

    Returns:
        ``{"name", "description", "parameters": {"type": "object", "properties", "required"}}``.

    Raises:
        SchemaError: no such function, or a parameter without type hint or description.
    """
    try:
        return _describe(ast.parse(source), function, hidden)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SchemaError(f"the source cannot be read: {error}") from error


def with_heartbeat(schema: _Schema) -> _Schema:
    """The same function schema with the parameter by which a model asks for another turn."""
    parameters = schema["parameters"]
    asked = {
        "type": "boolean",
        "description": "Whether to hand control back to you once the tool is done, so that you can go on.",
    }
    return {
        **schema,
        "parameters": {
            **parameters,
            "properties": {**parameters.get("properties", {}), HEARTBEAT: asked},
            "required": [*parameters.get("required", []), HEARTBEAT],
        },
    }


def check(schema: _Schema, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call as its function expects them, without explicit nulls for
    parameters that may be left out.

    Raises:
        ValueError: they do not fit; the text names every mistake.
    """
    parameters = schema["parameters"]
    required = parameters.get("required", [])
    given = {name: value for name, value in arguments.items() if value is not None or name in required}
    if found := list(_mistakes({"additionalProperties": False, **parameters}, given, "")):
        raise ValueError("; ".join(found))
    return given


def _describe(module: ast.Module, function: str | None, hidden: frozenset[str]) -> _Schema:
    node = _function(module, function)
    if len(node.name) > NAME_LIMIT:
        raise SchemaError(f"the name '{node.name}' is longer than {NAME_LIMIT} characters")
    classes = {item.name: item for item in module.body if isinstance(item, ast.ClassDef)}
    description, documented = _read_docstring(ast.get_docstring(node) or "")
    if not description:
        raise SchemaError(f"'{node.name}' has no docstring that says what it does")
    properties: _Schema = {}
    required: list[str] = []
    for parameter, default in _parameters(node):
        name = parameter.arg
        if name in hidden:
            continue
        if parameter.annotation is None:
            raise SchemaError(f"parameter '{name}' has no type hint")
        if not documented.get(name):
            raise SchemaError(f"parameter '{name}' has no entry under 'Args:' in the docstring")
        field, optional = _type(parameter.annotation, classes)
        properties[name] = {**field, "description": documented[name]}
        if default is not None:
            _keep_default(properties[name], default)
        elif not optional:
            required.append(name)
    return {
        "name": node.name,
        "description": description,
        "parameters": {"type": "object", "properties": properties, "required": required},
    }


def _mistakes(schema: _Schema, value: Any, path: str) -> Iterator[str]:
    expected = schema.get("type")
    if isinstance(expected, str) and not _is(value, expected):
        yield f"`{path}` must be {_article(expected)}, not {_article(_type_name(value))}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"`{path}` must be one of {schema['enum']}"
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield from _mistakes(schema["items"], item, f"{path}[{index}]")
    if isinstance(value, dict):
        yield from _mistakes_in_fields(schema, value, f"{path}." if path else "")


def _mistakes_in_fields(schema: _Schema, value: Mapping[str, Any], prefix: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"required parameter `{prefix}{name}` is missing"
    for name, item in value.items():
        if name in properties:
            yield from _mistakes(properties[name], item, f"{prefix}{name}")
        elif schema.get("additionalProperties") is False:
            yield f"there is no parameter `{prefix}{name}` (there are: {', '.join(properties) or 'none'})"


def _is(value: Any, expected: str) -> bool:
    if isinstance(value, bool):
        return expected == "boolean"
    return isinstance(value, _PYTHON_TYPES.get(expected, (object,)))


def _type_name(value: Any) -> str:
    return next((name for name in _PYTHON_TYPES if _is(value, name)), "null")


def _article(noun: str) -> str:
    return noun if noun == "null" else f"an {noun}" if noun[0] in "aio" else f"a {noun}"


def _function(module: ast.Module, name: str | None) -> ast.FunctionDef | ast.AsyncFunctionDef:
    for node in reversed(module.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and name in (None, node.name):
            return node
    raise SchemaError(f"there is no function '{name}'" if name else "the source defines no function")


def _parameters(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    arguments = node.args
    for extra in (arguments.vararg, arguments.kwarg):
        if extra:
            raise SchemaError(f"parameter '*{extra.arg}' takes any number of values")
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    yield from ((parameter, None) for parameter in positional[:without])
    yield from zip(positional[without:], arguments.defaults, strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def _keep_default(field: _Schema, default: ast.expr) -> None:
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return  # an expression: only running the tool would tell its value
    if value is not None:
        field["default"] = value


def _type(node: ast.expr, classes: Mapping[str, ast.ClassDef]) -> tuple[_Schema, bool]:
    """The schema of an annotation, and whether it allows ``None``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _type(ast.parse(node.value, mode="eval").body, classes)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right], node, classes)
    if isinstance(node, ast.Subscript):
        return _generic(node, classes)
    name = _last_name(node)
    if name in _PRIMITIVES:
        return {"type": _PRIMITIVES[name]}, False
    if name in _CONTAINERS:
        return dict(_CONTAINERS[name]), False
    if name in classes:
        return _model(classes[name], {key: item for key, item in classes.items() if key != name}), False
    raise SchemaError(f"unsupported type '{ast.unparse(node)}'")


def _generic(node: ast.Subscript, classes: Mapping[str, ast.ClassDef]) -> tuple[_Schema, bool]:
    name = _last_name(node.value)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    match name:
        case "Optional" | "Union":
            return _union([*inner, ast.Constant(None)] if name == "Optional" else inner, node, classes)
        case "list" | "List":
            return {"type": "array", "items": _type(inner[0], classes)[0]}, False
        case "dict" | "Dict":
            return {"type": "object"}, False
        case "Literal":
            values = [ast.literal_eval(item) for item in inner]
            return {"type": _type_name(values[0]), "enum": values}, False
        case "Annotated":
            return _type(inner[0], classes)
    raise SchemaError(f"unsupported type '{ast.unparse(node)}'")


def _union(
    members: list[ast.expr], node: ast.expr, classes: Mapping[str, ast.ClassDef]
) -> tuple[_Schema, bool]:
    real = [item for item in members if not (isinstance(item, ast.Constant) and item.value is None)]
    if len(real) != 1 or len(members) != 2:
        raise SchemaError(f"unsupported type '{ast.unparse(node)}': a parameter has one type or None")
    return _type(real[0], classes)[0], True


def _model(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> _Schema:
    """A pydantic model, or anything else that annotates its fields in the class body."""
    properties: _Schema = {}
    required: list[str] = []
    for item in node.body:
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        name, value = item.target.id, item.value
        properties[name], optional = _type(item.annotation, classes)
        if isinstance(value, ast.Call) and _last_name(value.func) == "Field":
            options = {keyword.arg: keyword.value for keyword in value.keywords}
            if "description" in options:
                properties[name]["description"] = ast.literal_eval(options["description"])
            value = value.args[0] if value.args else options.get("default", options.get("default_factory"))
            if isinstance(value, ast.Constant) and value.value is ...:
                value = None
        if value is not None:
            _keep_default(properties[name], value)
        elif not optional:
            required.append(name)
    schema: _Schema = {"type": "object", "properties": properties, "required": required}
    if text := ast.get_docstring(node):
        schema["description"] = text
    return schema


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into what the function does, examples included, and its
    parameters' descriptions."""
    prose: list[str] = []
    arguments: dict[str, str] = {}
    section, indent, current = "", 0, ""
    for line in text.splitlines():
        if heading := _SECTION.match(line):
            section, indent, current = heading[1], 0, ""
        elif section in ("", "Example", "Examples"):
            prose.append(line)
            continue
        elif section in ("Args", "Arguments", "Parameters") and line.strip():
            depth = len(line) - len(line.lstrip())
            indent = indent or depth
            entry = _ENTRY.match(line.strip()) if depth == indent else None
            if entry:
                current = entry["name"]
                arguments[current] = entry["text"]
            elif current:
                arguments[current] += " " + line.strip()
        if section in ("Example", "Examples") and heading:
            prose.append(line)
    return "\n".join(prose).strip(), {name: value.strip() for name, value in arguments.items()}
