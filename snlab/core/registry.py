"""Names with options, and the objects they stand for.

One grammar serves normalizers, losses, networks and data sets: ``name(option=value, ...)``, joined by
``+`` where several compose, as in ``gradient_penalty(weight=1, kind=one_sided)+spectral_norm``. One string
is one value of a sweep's axis and carries its own options; an option may name a thing with its own, as in
``fixed(distribution=mixture(kind=ring))``. A name with dots is a class or a function of the
user's, found by importing its module: ``mine.Penalty(weight=2)+spectral_norm``.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from snlab.core.errors import UserError, nearest
from snlab.core.modules import AFTER_FAILURE, attribute

T = TypeVar("T")
Factory = TypeVar("Factory", bound=Callable[..., Any])
WORDS = {"true": True, "false": False, "none": None}


class Spec(NamedTuple):
    """One parsed term: a registered name, or a dotted one, and the options written beside it."""

    name: str
    options: dict[str, Any]

    def __str__(self) -> str:
        options = ", ".join(f"{key}={_write(value)}" for key, value in sorted(self.options.items()))
        return f"{self.name}({options})" if options else self.name


def parse(text: str, kind: str = "value") -> list[Spec]:
    """Read ``a(x=1)+b`` as its terms, left to right; ``kind`` says in an error what was being read.

    >>> [str(term) for term in parse("spectral_norm + gradient_penalty(weight=1, kind=one_sided)")]
    ['spectral_norm', 'gradient_penalty(kind=one_sided, weight=1)']
    """
    if not isinstance(text, str):
        raise UserError(f"{kind} is {text!r}; a name is wanted")
    try:
        return _terms(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        quotes = "; text such as a path goes in quotes" if "/" in text and not set("'\"") & set(text) else ""
        raise UserError(
            f"{kind} {text!r} does not read as name(option=value, ...), joined by +{quotes}"
        ) from None


def _terms(node: ast.expr) -> list[Spec]:
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _terms(left) + _terms(right)
        case ast.Name() | ast.Attribute():
            return [Spec(_dotted(node), {})]
        case ast.Constant(value=None):  # the word None, for those who write Python
            return [Spec("none", {})]
        case ast.Call(func=ast.Name() | ast.Attribute() as name, args=[], keywords=keywords):
            return [Spec(_dotted(name), {_key(keyword): _read(keyword.value) for keyword in keywords})]
    raise ValueError


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
    raise ValueError


def _key(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError
    return keyword.arg


def _read(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return WORDS.get(node.id, node.id)
    if isinstance(node, ast.Call):  # a name with options of its own, as text
        return str(_terms(node)[0])
    return ast.literal_eval(node)


def _write(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) and value.isidentifier() else repr(value)


def label(value: Any) -> str:
    """What a configuration names a thing by, as one line of text: a string is its own.

    A class with its options, as LightningCLI writes it, reads as one would call it.

    >>> label("spectral_norm"), label({"class_path": "mine.Clip", "init_args": {"limit": 0.05}})
    ('spectral_norm', 'Clip(limit=0.05)')
    """
    if not isinstance(value, Mapping):
        return " ".join(str(value).split())
    options = value.get("init_args") or {}
    name = str(value.get("class_path", "custom")).rsplit(".", 1)[-1]
    written = ", ".join(f"{key}={_labelled(option)}" for key, option in sorted(options.items()))
    return f"{name}({written})" if written else name


def _labelled(option: Any) -> str:
    if isinstance(option, Mapping) and "class_path" in option:
        return label(option)
    if isinstance(option, Sequence) and not isinstance(option, str):
        return f"[{', '.join(map(_labelled, option))}]"
    return _write(option)


class Registry(Generic[T]):
    """The names of one kind of thing that can be swapped.

    >>> shapes: Registry[str] = Registry("shape")
    >>> @shapes.register("square")
    ... def square(side: float = 1.0) -> str:
    ...     "A square."
    ...     return f"square of {side}"
    >>> shapes.build("square(side=2)")
    'square of 2'
    >>> shapes.canonical("square")
    'square(side=1.0)'

    Args:
        kind: what one of them is called, in errors.
        of: the class that every one of them is an instance of.
    """

    def __init__(self, kind: str, of: type = object) -> None:
        self.kind = kind
        self.of: type[Any] = of
        self._factories: dict[str, Callable[..., T]] = {}
        AFTER_FAILURE.append(self._forget)

    def register(self, name: str) -> Callable[[Factory], Factory]:
        """Class or function decorator: what it decorates is called with the options to make the object.

        ValueError for a name that is taken.
        """

        def add(factory: Factory) -> Factory:
            if name in self._factories:
                first, second = path_of(self._factories[name]), path_of(factory)
                raise ValueError(f"{self.kind} {name!r} is registered twice: by {first} and by {second}")
            self._factories[name] = factory
            return factory

        return add

    def _forget(self) -> None:
        """Take back what modules registered that are not imported after all."""
        for name, factory in list(self._factories.items()):
            if factory.__module__ not in sys.modules:
                del self._factories[name]

    def names(self) -> list[str]:
        return sorted(self._factories)

    def required(self, name: str) -> list[str]:
        """The options that have no default."""
        gathered = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = inspect.signature(self._factories[name]).parameters.values()
        return [p.name for p in parameters if p.default is p.empty and p.kind not in gathered]

    def describe(self, name: str) -> str:
        """The options with their defaults, if they have any, and the first line of the docstring."""
        factory = self._factories[name]
        defaults = [f"{key}={_write(value)}" for key, value in self._defaults(name).items()]
        options = ", ".join([*(f"{key}=..." for key in self.required(name)), *defaults])
        summary = (inspect.getdoc(factory) or "").split("\n", 1)[0]
        return f"{name}({options}): {summary}" if options else f"{name}: {summary}"

    def build(self, text: str) -> T:
        """The one object that ``text`` names; UserError for an unknown name or option, or a bad value."""
        terms = parse(text, self.kind)
        if len(terms) > 1:
            raise UserError(f"{self.kind} {text!r} names {len(terms)}, but only normalizers compose with +")
        return self._make(terms[0])

    def build_all(self, text: str) -> list[T]:
        """The objects of ``a+b``, in the order written."""
        return [self._make(term) for term in parse(text, self.kind)]

    def factories(self, text: str) -> list[tuple[str, Callable[..., T]]]:
        """Each name in ``text``, in its order, and the class or function that it stands for."""
        return [(term.name, self._factory(term.name)) for term in parse(text, self.kind)]

    def canonical(self, text: str) -> str:
        """The one spelling of ``text``: every option written out, sorted, defaults included.

        But for options that are keyword-only: these are left out at their defaults, so that one that is new
        does not change what older runs are called by.
        """
        terms = [self._checked(term) for term in parse(text, self.kind)]
        return "+".join(str(Spec(t.name, self._written_out(t))) for t in terms)

    def check_class(self, found: Any, name: str) -> None:
        """UserError unless ``found``, which the user names ``name``, may make objects of this kind."""
        module = str(getattr(found, "__module__", "")).split(".")[0]
        fits = issubclass(found, self.of) if isinstance(found, type) else callable(found)
        if not fits or module in sys.stdlib_module_names:
            wanted = self.of.__name__
            raise UserError(
                f"{self.kind} {name!r} is no subclass of {wanted}, and no function that returns a {wanted}"
            )

    def check_options(self, found: Callable[..., Any], name: str, options: Iterable[str]) -> None:
        """UserError for an option that ``found``, which the user names ``name``, does not have."""
        parameters = _parameters(found)
        if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(found).parameters.values()):
            return
        for option in options:
            if option not in parameters:
                raise UserError(
                    f"{self.kind} {name!r} has no option {option!r}; {nearest(option, parameters)}"
                )

    def check_kind(self, made: Any, name: str) -> None:
        """UserError unless ``made``, which the user names ``name``, is of this kind."""
        if not isinstance(made, self.of):
            raise UserError(f"{self.kind} {name} is a {type(made).__name__}; a {self.of.__name__} is wanted")

    def _factory(self, name: str) -> Callable[..., T]:
        if name in self._factories:
            return self._factories[name]
        if "." not in name:
            raise UserError(f"unknown {self.kind} {name!r}; {nearest(name, self._factories)}")
        found = attribute(name, f"{self.kind} {name!r}")
        self.check_class(found, name)
        return cast(Callable[..., T], found)

    def _written_out(self, term: Spec) -> dict[str, Any]:
        parameters = _parameters(self._factory(term.name))

        def told(option: str, value: Any) -> bool:
            if option not in parameters:  # of a function that takes any
                return True
            default = parameters[option].default
            same = value == default and isinstance(value, bool) == isinstance(default, bool)
            return parameters[option].kind is not inspect.Parameter.KEYWORD_ONLY or not same

        options = self._defaults(term.name) | term.options
        return {option: value for option, value in options.items() if told(option, value)}

    def _defaults(self, name: str) -> dict[str, Any]:
        parameters = _parameters(self._factory(name)).values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    def _checked(self, term: Spec) -> Spec:
        self.check_options(self._factory(term.name), term.name, term.options)
        return term

    def _make(self, term: Spec) -> T:
        self._checked(term)
        try:
            made = self._factory(term.name)(**term.options)
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.kind} {term}: {error}") from error
        self.check_kind(made, str(term))
        return made


def path_of(found: Any) -> str:
    """A class or a function by its full dotted name.

    >>> path_of(Registry)
    'snlab.core.registry.Registry'
    """
    return f"{found.__module__}.{getattr(found, '__qualname__', type(found).__qualname__)}"


def _parameters(found: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of a class or a function, by name."""
    parameters = inspect.signature(found).parameters.items()
    return {name: p for name, p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
