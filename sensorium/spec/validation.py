"""From data to a declared model, with every fault at its place."""

from __future__ import annotations

import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sensorium.errors import AuthorError, Fault
from sensorium.spec.declared import Declared
from sensorium.spec.literals import named
from sensorium.spec.nearest import meant
from sensorium.spec.plain import is_list, is_mapping
from sensorium.spec.yaml import MAX_DEPTH, Document, YamlPath

__all__ = ["Survey", "faults_of", "keys_of", "survey", "validate"]

Declaration = TypeVar("Declaration", bound=BaseModel)


def validate(model: type[Declaration], document: Document) -> Declaration:
    """What a document declares.

    Raises:
        AuthorError: It does not; every fault is told at once.
    """
    try:
        return model.model_validate(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise AuthorError(faults_of(model, document, error)) from error


@dataclass(frozen=True, slots=True)
class Survey(Generic[Declaration]):
    """What a document with faults declares where it can be read."""

    declared: Declaration
    faults: tuple[Fault, ...]
    lost: frozenset[YamlPath]
    """What was left out because it could not be read."""


def survey(
    model: type[Declaration], document: Document, instead: Mapping[str, Any] = MappingProxyType({})
) -> Survey[Declaration]:
    """What a document declares, without the pieces that are wrong, so that the rest can be looked at too.

    `instead` has what to go on with where a key of the document is missing or wrong.

    Raises:
        AuthorError: Too little is left; every fault that was found is told.
    """
    faults, lost = list(document.faults), set(document.lost)
    data = document.data
    for path in lost:
        data = _without(data, path)
    for _ in range(MAX_DEPTH):
        try:
            return Survey(model.model_validate(data, by_alias=True, by_name=False), tuple(faults), frozenset(lost))
        except ValidationError as error:
            known = set(faults)
            faults += [fault for fault in faults_of(model, document, error, lost) if fault not in known]
            wrong = {_prunable(document.data, details, instead) for details in error.errors(include_url=False)}
        if () in wrong:
            break
        for path in wrong:
            data = _without(data, path)
        data = {
            **{str(path[0]): instead[str(path[0])] for path in wrong if path[0] in instead and len(path) == 1},
            **data,
        }
        lost |= wrong
    raise AuthorError(sorted(faults, key=lambda fault: (fault.line, fault.column)))


def _prunable(data: Any, details: ErrorDetails, instead: Mapping[str, Any]) -> YamlPath:
    """The entry of a mapping that has to go, or be replaced, so that an error goes."""
    path, _, _ = _in_data(data, details["loc"])
    if details["type"] == "missing" and not (len(path) == 1 and path[0] in instead):
        path = path[:-1]
    return _entry(path)


def _entry(path: YamlPath) -> YamlPath:
    for index, part in enumerate(path):
        if isinstance(part, int):
            return path[:index]
    return path


def _without(data: Any, path: YamlPath) -> Any:
    """A copy of `data` without the entry at `path`."""
    path = _entry(path)
    if not path or not is_mapping(data) or path[0] not in data:
        return data
    copy = dict(data)
    if len(path) == 1:
        del copy[str(path[0])]
    else:
        copy[str(path[0])] = _without(data[path[0]], path[1:])
    return copy


def keys_of(model: type[BaseModel]) -> list[str]:
    """A model's keys, as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def faults_of(
    model: type[BaseModel], document: Document, error: ValidationError, lost: Collection[YamlPath] = ()
) -> list[Fault]:
    """One located fault for each thing that is wrong, in the order of the file.

    What is wrong because something in it is `lost` is no fault of its own.
    """
    parents = {path[:length] for path in lost for length in range(len(path) + 1)}
    groups: dict[YamlPath, dict[str, list[tuple[YamlPath, ErrorDetails]]]] = {}
    for details in error.errors(include_url=False):
        path, branch_at, branch = _in_data(document.data, details["loc"])
        if path in parents:
            continue
        groups.setdefault(branch_at, {}).setdefault(branch, []).append((path, details))
    faults: list[Fault] = []
    for branch_at, branches in groups.items():
        value = _at(document.data, branch_at)
        if "" in branches or len(branches) == 1 or _fitting(branches, value):
            chosen = _fitting(branches, value) if "" not in branches else ""
            for path, details in branches[chosen or next(iter(branches))]:
                faults.append(_fault(model, document, path, details))
        else:
            forms = " or ".join(dict.fromkeys(_form(branch) for branch in branches))
            faults.append(document.fault(branch_at, f"{_dotted(branch_at)} is {named(value)}", f"write {forms}"))
    unique = dict.fromkeys(faults)
    return sorted(unique, key=lambda fault: (fault.line, fault.column))


def _in_data(data: Any, loc: Iterable[str | int]) -> tuple[YamlPath, YamlPath, str]:
    """The path of an error in the data, where in it a union begins, and which branch of the union the error is of."""
    path: list[str | int] = []
    branch_at: YamlPath = ()
    branch = ""
    parts = list(loc)
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if is_mapping(data) and isinstance(part, str) and (part in data or (last and part != "[key]")):
            if part not in data and _is_branch(part):
                branch_at, branch = tuple(path), part
                continue
            path.append(part)
            data = data.get(part)
        elif is_list(data) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
        elif part == "[key]":
            continue
        else:
            branch_at, branch = tuple(path), str(part)
    return tuple(path), branch_at, branch


def _is_branch(part: str) -> bool:
    return "[" in part or part in ("str", "bool", "int", "float")


def _at(data: Any, path: YamlPath) -> Any:
    for part in path:
        data = _child(data, part)
    return data


def _child(data: Any, part: str | int) -> Any:
    if is_list(data):
        return data[part] if isinstance(part, int) and part < len(data) else None
    return data.get(str(part)) if is_mapping(data) else None


def _fitting(branches: Mapping[str, Any], value: Any) -> str:
    """The branch of a union that the author most likely meant; empty where none stands out."""
    if is_mapping(value):
        models = {branch: _model(branch) for branch in branches}
        best = max(branches, key=lambda branch: _overlap(models[branch], value))
        return best if models[best] is not None and _overlap(models[best], value) else _first(branches, "dict")
    if isinstance(value, str):
        return _first(branches, "str") or _first(branches, "literal")
    if is_list(value):
        return _first(branches, "list")
    return ""


def _overlap(model: type[BaseModel] | None, value: Mapping[str, Any]) -> int:
    return len(set(keys_of(model)) & set(value)) if model is not None else -1


def _first(branches: Iterable[str], word: str) -> str:
    return next((branch for branch in branches if branch.startswith(word) or f", {word}]" in branch), "")


def _form(branch: str) -> str:
    model = _model(branch)
    if model is not None:
        return f"a mapping with {' and '.join(_required(model))}"
    for word, form in (("dict", "a mapping"), ("list", "a list"), ("literal", branch[8:-1]), ("bool", "true or false")):
        if branch.startswith(word):
            return form
    return "text" if "str" in branch else branch


def _required(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


def _dotted(path: YamlPath) -> str:
    return ".".join(str(part) for part in path) or "the file"


def _fault(model: type[BaseModel], document: Document, path: YamlPath, details: ErrorDetails) -> Fault:
    kind, context = details["type"], details.get("ctx", {})
    where, parent = _dotted(path), path[:-1]
    last = str(path[len(path) - 1]) if path else ""
    if kind == "extra_forbidden":
        keys = keys_of(_model_at(model, parent, document.data) or model)
        found = f"unknown key {last[:60]!r}" + (f" in {_dotted(parent)}" if parent else "")
        return document.fault(path, found, meant(last, keys, "the keys are"), key=True)
    if kind == "missing":
        return document.fault(parent, f"{_dotted(parent)} has no {last!r}", f"add {last}:", key=True)
    if details["loc"][-1:] == ("[key]",) and kind == "value_error":
        found, _, right = _sentence(details).partition("; ")
        return document.fault(path, found, right, key=True)
    if kind == "value_error":
        found, _, right = _sentence(details).partition("; ")
        return document.fault(path, f"{where}: {found}", right)
    found = f"{where} is {'empty' if details['input'] in ('', [], {}) else named(details['input'])}"
    return document.fault(path, found, _right(kind, dict(context), details))


def _sentence(details: ErrorDetails) -> str:
    return details["msg"].removeprefix("Value error, ")


_WANTED = {
    "string_type": "write text",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "dict_type": "write a mapping",
    "model_type": "write a mapping",
    "list_type": "write a list",
    "finite_number": "write a finite number",
}


def _right(kind: str, context: dict[str, Any], details: ErrorDetails) -> str:
    value = details["input"]
    if kind == "string_type" and is_list(value) and len(value) == 1 and isinstance(value[0], str):
        return f'write text; a list type stands in quotes, as in "[{value[0]}]"'
    if kind == "string_type" and isinstance(value, int | float):
        return "write text, in quotes"
    if kind in _WANTED:
        return _WANTED[kind]
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        near = (
            meant(value, expected.replace("'", "").replace(" or ", ", ").split(", ")) if isinstance(value, str) else ""
        )
        return near if near.startswith("did") else f"write {expected}"
    bounds = {"greater_than_equal": ("ge", "at least {}"), "greater_than": ("gt", "more than {}")}
    bounds |= {"less_than_equal": ("le", "at most {}"), "less_than": ("lt", "less than {}")}
    if kind in bounds:
        name, form = bounds[kind]
        return f"write {form.format(f'{context[name]:g}')}"
    if kind in ("too_short", "string_too_short"):
        return f"write at least {context['min_length']} {'character' if kind == 'string_too_short' else 'entry'}"
    if kind in ("too_long", "string_too_long"):
        return f"write at most {context['max_length']} {'characters' if kind == 'string_too_long' else 'entries'}"
    if kind == "string_pattern_mismatch":
        return f"write what matches {context['pattern']}"
    return details["msg"]


def _model_at(model: type[BaseModel], path: YamlPath, data: Any) -> type[BaseModel] | None:
    """The model that stands at `path`; of a union, the one that shares most keys with the data."""
    here: Any = model
    for part in path:
        data = _child(data, part)
        here = _inside(here, part, data)
        if here is None:
            return None
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _inside(annotation: Any, part: str | int, data: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if (field.alias or name) == part:
                return _chosen(field.annotation, data)
        return None
    arguments = get_args(annotation)
    return _chosen(arguments[-1], data) if arguments else None


def _chosen(annotation: Any, data: Any) -> Any:
    """An annotation without what stands around it: `Annotated`, `| None`, the branches of a union that do not fit."""
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    branches = [_chosen(branch, data) for branch in get_args(annotation) if branch is not type(None)]
    models = [branch for branch in branches if isinstance(branch, type) and issubclass(branch, BaseModel)]
    if models and is_mapping(data):
        return max(models, key=lambda branch: _overlap(branch, data))
    return next((branch for branch in branches if get_origin(branch) is dict), branches[0] if branches else None)


def _model(name: str) -> type[BaseModel] | None:
    """The declared model that pydantic names so in the place of an error."""
    waiting: list[type[BaseModel]] = [Declared]
    while waiting:
        for child in waiting.pop().__subclasses__():
            if child.__name__ == name:
                return child
            waiting.append(child)
    return None
