"""Row plans: how the rows of one shape become model instances without a compiler.

A `RowPlan` is made from what a compiler found out (`select`, `klass_info`, `annotation_col_map`)
and kept for the next query of that shape. Where Django's from_db() can't be told from plain
assignment the engine makes the instances; elsewhere Django's own ModelIterable does, over the same
rows. What is identical either way: types, the order of `__dict__`, `_state` and its fields cache.

Django's code that this follows: Model.__init__ and from_db in db/models/base.py, ModelIterable and
RelatedPopulator in db/models/query.py, get_related_selections in db/models/sql/compiler.py.
"""

from __future__ import annotations

import inspect
import operator
import sys
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import router
from django.db.models import ForeignKey, base, query
from django.db.models.fields.files import FileDescriptor
from django.db.models.fields.mixins import FieldCacheMixin
from django.db.models.fields.related_descriptors import (
    ForeignKeyDeferredAttribute,
    ForwardManyToOneDescriptor,
)
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import ModelSignal, post_init, pre_init

from . import _engine, conf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.db.models import Field, Model
    from django.db.models.sql.compiler import SQLCompiler

MEMO_PLANS: Final = 1024

_PLAIN_DESCRIPTORS: Final = (DeferredAttribute, FileDescriptor)
_ModelState: Final = base.ModelState
_MADE_BY: Final = ("__new__", "__init__", "__setattr__", "__getattribute__")
RETRY_AFTER: Final = 16
"""Uses of a plan that the engine can't follow, until it is looked whether it can by now."""


def _static(owner: type, name: str) -> Any:
    """What a class or a base of it has under a name, without asking descriptors."""
    return next((vars(each)[name] for each in owner.__mro__ if name in vars(each)), None)


def _is_djangos(function: Any) -> bool:
    """Whether a function is the one of its module, not a wrapper in its place."""
    module = sys.modules.get(function.__module__)
    return (
        type(function) is FunctionType
        and function.__globals__ is vars(module)
        and function.__code__.co_name == function.__name__
        and not hasattr(function, "__wrapped__")
    )


_ORIGINALS: Final = {
    (owner, name): _static(owner, name)
    for owner, names in (
        (base.Model, ("__init__",)),
        (base.ModelState, _MADE_BY),
        (DeferredAttribute, ("__set__",)),
        (ForeignKeyDeferredAttribute, ("__set__",)),
        (FileDescriptor, ("__set__",)),
        (FieldCacheMixin, ("is_cached", "set_cached_value")),
        (ModelSignal, ("send", "has_listeners")),
    )
    for name in names
}
"""What the engine's work stands for, or what it takes for granted."""


_FROM_DB: Final = vars(base.Model)["from_db"]


def _is_as_expected() -> bool:
    return all(_static(*place) is original for place, original in _ORIGINALS.items()) and all(
        _is_djangos(function)
        for function in (*_ORIGINALS.values(), _FROM_DB.__func__)
        if type(function) is FunctionType
    )


_SETTING: Final = tuple(
    (owner, name, _static(owner, name))
    for owner, name in (
        (ForwardManyToOneDescriptor, "__set__"),
        (ForeignKeyDeferredAttribute, "__set__"),
        (ForeignKey, "is_cached"),
        (ForeignKey, "set_cached_value"),
        (type(router), "allow_relation"),
    )
)
"""Django's own, which set a foreign key's object."""

PLAIN_FROM: Final = 5
"""Instances for which it pays to look whether a foreign key's object can be set by the engine."""

_PLAINLY_READ: Final = (DeferredAttribute, ForeignKeyDeferredAttribute)


class Link(NamedTuple):
    """A foreign key whose object the engine can set as Django's descriptor does (ext/links.c)."""

    field: Any
    attname: str
    cache_name: str
    kind: type
    target: str
    """The attribute of the object that the key is of."""
    plain: tuple[type, ...] = _PLAINLY_READ


class RowPlan:
    """The instances of one shape of rows.

    `native` is the engine's plan, or None where Django's from_db() has to run. It is made again
    when a class or a signal changed, and `links` with it: the foreign keys whose objects the engine
    can set. Nothing else changes, and threads share plans.
    """

    __slots__ = ("_uses", "annotation_col_map", "klass_info", "links", "native", "select")

    def __init__(
        self,
        select: list[Any],
        klass_info: dict[str, Any],
        annotation_col_map: dict[str, int],
    ) -> None:
        # Of an expression only its field is of use; it may hold a whole subquery.
        self.select = [(_Column(getattr(column[0], "target", None)),) for column in select]
        self.klass_info = klass_info
        self.annotation_col_map = annotation_col_map
        self.links: tuple[Link, ...] = ()
        self.native = _native(self)
        self._uses = 0

    @property
    def model(self) -> type[Model]:
        model: type[Model] = self.klass_info["model"]
        return model

    def build(self, rows: list[Any], db: str, fetch_mode: Any, copy: bool) -> list[Model] | None:
        """The instances, or None where Django's from_db() has to make them."""
        native = self.native
        if native is None:
            self._uses += 1
            if self._uses % RETRY_AFTER:
                return None
            self.native = native = _native(self)
        track = fetch_mode is not None and fetch_mode.track_peers
        for _ in range(2):
            if native is None:
                break
            found = native.build(rows, db, fetch_mode, track, copy)
            if found is not None:
                return found
            self.native = native = _native(self)
        return None


class _Column:
    """What is kept of a selected expression."""

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target


class _Refused(Exception):
    """from_db() has to make instances of this shape."""


_plans: dict[tuple[Any, ...], RowPlan] = {}
"""By the identities of models and fields, which the plan keeps alive."""

conf.on_change(_plans.clear)


def plan_of(compiler: SQLCompiler) -> RowPlan:
    """The plan of a compiler whose setup_query() has run and found a model's rows."""
    key: list[Any] = [*compiler.annotation_col_map.items()]
    _add_identities(key, compiler.klass_info, compiler.select)
    identities = tuple(key)
    known = _plans.get(identities)
    if known is None:
        known = RowPlan(compiler.select, compiler.klass_info, compiler.annotation_col_map)
        if len(_plans) >= MEMO_PLANS:
            _plans.clear()
        _plans[identities] = known
    return known


def _add_identities(key: list[Any], info: dict[str, Any], select: list[Any]) -> None:
    """All that tells one shape from another."""
    positions = info["select_fields"]
    key += (
        id(info["model"]),
        id(info.get("field")),
        info.get("reverse"),
        info.get("from_parent"),
        _setter_identity(info.get("local_setter")),
        _setter_identity(info.get("remote_setter")),
        *positions,
        *[id(select[position][0].target) for position in positions],
    )
    for related in info.get("related_klass_infos", ()):
        _add_identities(key, related, select)
    key.append(None)


def _setter_identity(setter: Any) -> int | None:
    """Bound methods and lambdas are made anew by each compiler.

    What they are of is the field, which is part of the shape.
    """
    kind = type(setter)
    if kind is MethodType:
        return id(setter.__func__)
    return id(setter.__code__) if kind is FunctionType else setter and id(setter)


def rows_to_objects(
    plan: RowPlan,
    rows: list[Any],
    db: str,
    known_related_objects: Mapping[Any, Any],
    fetch_mode: Any = None,
    *,
    copy: bool = False,
    as_lists: bool = False,
) -> list[Model]:
    """The instances of converted rows, as ModelIterable yields them.

    `known_related_objects` are the queryset's; `fetch_mode` is its, from Django 6.1 on. `copy`:
    the rows hold lists or dicts, of which each instance gets its own. `as_lists`: Django would
    have lists as rows here, which a model's own from_db() may see.
    """
    objects = plan.build(rows, db, fetch_mode, copy)
    if objects is None:
        own = _engine.row_tuples(rows, copy) if copy else rows
        return list(_by_from_db(plan, own, db, known_related_objects, fetch_mode, as_lists))
    for field, related in known_related_objects.items():
        link = next((each for each in plan.links if each.field is field), None)
        _set_known_by(link, plan.model, objects, field, related)
    return objects


def set_known_related_objects(
    model: type[Model], objects: list[Model], field: Any, related: Mapping[Any, Any]
) -> None:
    """What ModelIterable does last with each instance."""
    link = _link_of(model, field) if len(objects) >= PLAIN_FROM else None
    _set_known_by(link, model, objects, field, related)


def _set_known_by(
    link: Link | None,
    model: type[Model],
    objects: list[Model],
    field: Any,
    related: Mapping[Any, Any],
) -> None:
    if link is None or _asks_routers() or not _engine.link(objects, related, link):
        _set_known(model, objects, field, related)


def _asks_routers() -> bool:
    """Whether a router of the project's is asked before an object is set."""
    return any(hasattr(each, "allow_relation") for each in router.routers)


def _set_known(
    model: type[Model], objects: list[Model], field: Any, related: Mapping[Any, Any]
) -> None:
    attnames = [
        field.attname if name == "self" else model._meta.get_field(name).attname
        for name in field.from_fields
    ]
    getter = operator.attrgetter(*attnames)
    name = field.name
    for instance in objects:
        # Django 6.1 leaves deferred attributes alone; before, they were loaded.
        if field.is_cached(instance) or (
            _HAS_FETCH_MODES and any(each not in instance.__dict__ for each in attnames)
        ):
            continue
        try:
            related_object = related[getter(instance)]
        except KeyError:
            continue  # in qs1 | qs2
        setattr(instance, name, related_object)


def _link_of(model: type[Model], field: Any) -> Link | None:
    """None: setting the field's object runs other code than Django's own."""
    plain = (
        type(field) is ForeignKey
        and field.from_fields == ["self"]
        and field.remote_field.multiple
        and type(_static(model, field.name)) is ForwardManyToOneDescriptor
        and type(_static(model, field.attname)) is ForeignKeyDeferredAttribute
        and _static(model, "__setattr__") is object.__setattr__
        and all(_static(field_class, name) is function for field_class, name, function in _SETTING)
        and "allow_relation" not in vars(router)
    )
    if not plain:
        return None
    kind = field.remote_field.model._meta.concrete_model
    return Link(
        field, field.attname, field.cache_name, kind, field.foreign_related_fields[0].attname
    )


def is_plainly_read(owner: type, attname: str) -> bool:
    """Whether an attribute in the `__dict__` of a class's instances is what reading it gives."""
    return type(_static(owner, attname)) in _PLAINLY_READ


_HAS_FETCH_MODES: Final = hasattr(query, "DEFAULT_FETCH_MODE")


# --- Django's own loop over our rows ------------------------------------------------------------


class _ReadyCompiler:
    """What ModelIterable asks of a compiler, answered without a query."""

    def __init__(self, plan: RowPlan, rows: list[Any]) -> None:
        self.select = plan.select
        self.klass_info = _with_setters_of_now(plan.klass_info)
        self.annotation_col_map = plan.annotation_col_map
        self._rows = rows

    def execute_sql(self, **_: Any) -> list[Any]:
        return self._rows

    def results_iter(self, results: list[Any]) -> Iterator[Any]:
        return iter(results)


def _with_setters_of_now(info: dict[str, Any]) -> dict[str, Any]:
    """A compiler's would be those of now; a plan may be older than a patch."""
    found = dict(info)
    for name in ("local_setter", "remote_setter"):
        if type(info.get(name)) is MethodType:
            found[name] = info[name].__self__.set_cached_value
    related = info.get("related_klass_infos", ())
    found["related_klass_infos"] = [_with_setters_of_now(each) for each in related]
    return found


class _ReadyQueryset:
    """What ModelIterable asks of a queryset; its own query, too."""

    def __init__(
        self,
        compiler: _ReadyCompiler,
        db: str,
        known_related_objects: Mapping[Any, Any],
        fetch_mode: Any,
    ) -> None:
        self.query = self
        self.model = compiler.klass_info["model"]
        self.db = db
        self._known_related_objects = known_related_objects
        self._fetch_mode = fetch_mode
        self._compiler = compiler

    def get_compiler(self, using: str) -> _ReadyCompiler:
        return self._compiler


def _by_from_db(
    plan: RowPlan,
    rows: list[Any],
    db: str,
    known_related_objects: Mapping[Any, Any],
    fetch_mode: Any,
    as_lists: bool,
) -> Iterator[Model]:
    compiler = _ReadyCompiler(plan, [list(row) for row in rows] if as_lists else rows)
    queryset = _ReadyQueryset(compiler, db, known_related_objects, fetch_mode)
    iterator: Iterator[Model] = iter(query.ModelIterable(queryset))
    return iterator


# --- what the engine may do ---------------------------------------------------------------------


class _Guards:
    """Classes that must not change, and what others must have under a name."""

    def __init__(self) -> None:
        self.types: dict[type, None] = dict.fromkeys(
            (base.ModelState, ModelSignal, FieldCacheMixin)
        )
        self.attributes: dict[tuple[type, str], Any] = {}
        self.names: list[tuple[Any, ...]] = []

    def watch(self, *types: type) -> None:
        self.types.update(dict.fromkeys(types))

    def watch_field(self, kind: type, name: str) -> None:
        """A field's class has no version to go by: each new Field counts itself in it."""
        expected = _ORIGINALS[FieldCacheMixin, name]
        if _static(kind, name) is not expected:
            raise _Refused
        self.attributes[kind, name] = expected


def _native(plan: RowPlan) -> _engine.RowPlan | None:
    try:
        if base.ModelState is not _ModelState or not _is_as_expected():
            return None
        guards = _Guards()
        nodes: list[tuple[Any, ...]] = []
        _add_node(nodes, guards, plan.klass_info, plan.select, root=True)
        annotations = tuple(plan.annotation_col_map.items())
        for name, _ in annotations:
            _check_annotation(plan.model, name)
        plan.links = _links(plan.model, {name for name, *_ in nodes[0][1]}, guards)
        names, receivers = _surroundings()
        return _engine.RowPlan(
            base.ModelState,
            tuple(nodes),
            annotations,
            tuple(guards.types),
            tuple((*key, expected) for key, expected in guards.attributes.items()),
            (*names, *guards.names),
            receivers,
        )
    except (_Refused, ValueError):
        return None


def _links(model: type[Model], loaded: set[str], guards: _Guards) -> tuple[Link, ...]:
    """Of the foreign keys among a row's own fields. What decides is watched, for it may change
    either way."""
    fields = [
        field
        for field in model._meta.concrete_fields
        if type(field) is ForeignKey and field.attname in loaded
    ]
    if fields:
        guards.attributes.update(
            {(owner, name): _static(owner, name) for owner, name, _ in _SETTING}
        )
        guards.names.append(_name_in(vars(router), "allow_relation"))
    links = [_link_of(model, field) for field in fields]
    return tuple([link for link in links if link is not None])


def _name_in(namespace: dict[str, Any], name: str) -> tuple[Any, ...]:
    """A name that has to mean what it does now."""
    return (namespace, name, namespace[name]) if name in namespace else (namespace, name)


def _surroundings() -> tuple[tuple[tuple[Any, ...], ...], tuple[list[Any], ...]]:
    """Names and receivers that have to stay what they are."""
    names: list[tuple[Any, ...]] = [
        (vars(base), "ModelState", base.ModelState),
        (vars(base), "pre_init", pre_init),
        (vars(base), "post_init", post_init),
    ]
    receivers = []
    for signal in (pre_init, post_init):
        if "send" in vars(signal):
            raise _Refused
        names += [(vars(signal), "send"), (vars(signal), "receivers", signal.receivers)]
        receivers.append(signal.receivers)
    return tuple(names), tuple(receivers)


def _add_node(
    nodes: list[tuple[Any, ...]],
    guards: _Guards,
    info: dict[str, Any],
    select: list[Any],
    *,
    root: bool,
) -> None:
    """One instance of each row, and those within it, in the order of RelatedPopulator."""
    model = info["model"]
    _check_class(model, guards)
    columns = _columns(info, select)
    fields = tuple(
        (attname, column, _is_foreign(model, attname, guards))
        for attname, column in columns.items()
    )
    local_name = remote_name = pk_column = None
    if not root:
        pk_column = columns.get(model._meta.pk_fields[0].attname)
        if pk_column is None:
            raise _Refused
        local_name, remote_name = _link_names(info, guards)
    place = len(nodes)
    nodes.append(())
    for related in info.get("related_klass_infos", ()):
        _add_node(nodes, guards, related, select, root=False)
    nodes[place] = (model, fields, pk_column, local_name, remote_name, len(nodes) - place)


def _columns(info: dict[str, Any], select: list[Any]) -> dict[str, int]:
    """Attname -> column in the order of the model's fields, which is how from_db() pairs them."""
    positions = info["select_fields"]
    if not info.get("from_parent"):
        positions = range(positions[0], positions[-1] + 1)
    by_name = {select[position][0].target.attname: position for position in positions}
    attnames = [
        field.attname for field in info["model"]._meta.concrete_fields if field.attname in by_name
    ]
    # Of another order or number Django makes something else, if it doesn't fail.
    in_order = list(by_name) == attnames or (info.get("from_parent") and len(attnames) > 1)
    if not in_order or not len(attnames) == len(by_name) == len(positions):
        raise _Refused
    return {attname: by_name[attname] for attname in attnames}


def _link_names(info: dict[str, Any], guards: _Guards) -> tuple[str, str | None]:
    """What the outer instance caches the inner one as, and the inner one the outer."""
    field = info["field"]
    local, remote = info["local_setter"], info["remote_setter"]
    inner, outer = (field.remote_field, field) if info["reverse"] else (field, field.remote_field)
    local_name = _cache_name(local, inner, guards)
    if type(remote) is FunctionType and remote.__name__ == "<lambda>":
        if info["reverse"] or field.unique:
            raise _Refused
        return local_name, None
    return local_name, _cache_name(remote, outer, guards)


def _cache_name(setter: Any, field: Any, guards: _Guards) -> str:
    if (
        type(setter) is not MethodType
        or setter.__self__ is not field
        or setter.__func__ is not _ORIGINALS[FieldCacheMixin, "set_cached_value"]
    ):
        raise _Refused
    guards.watch_field(type(field), "set_cached_value")
    name: Any = getattr(field, "cache_name", None)
    if type(name) is not str:
        raise _Refused
    return name


def _check_class(model: type[Model], guards: _Guards) -> None:
    """Raises _Refused where making an instance runs anything but Django's own code.

    The engine itself refuses a class with a __new__, __setattr__ or a metaclass's __call__.
    """
    after = model.__mro__[model.__mro__.index(base.Model) + 1 :]
    made_by: Any = model
    plain = (
        model.__init__ is base.Model.__init__
        and made_by.__getattribute__ is object.__getattribute__
        and _static(model, "from_db") is _FROM_DB
        and _static(model, "_state") is None
        and not any("__init__" in vars(each) for each in after if each is not object)
        and not pre_init.has_listeners(model)
        and not post_init.has_listeners(model)
    )
    if not plain:
        raise _Refused
    guards.watch(model, type(model))


def _is_foreign(model: type[Model], attname: str, guards: _Guards) -> bool:
    """Whether a field's value is set by a foreign key's descriptor.

    Raises _Refused for a descriptor that isn't one of Django's plain ones.
    """
    descriptor = _static(model, attname)
    kind = type(descriptor)
    if kind not in (*_PLAIN_DESCRIPTORS, ForeignKeyDeferredAttribute):
        raise _Refused
    field: Field[Any, Any] = descriptor.field
    if field.attname != attname:
        raise _Refused
    guards.watch(kind)
    if kind is not ForeignKeyDeferredAttribute:
        return False
    guards.watch_field(type(field), "is_cached")
    return True


def _check_annotation(model: type[Model], name: str) -> None:
    found = _static(model, name)
    if name == "_state" or (found is not None and inspect.isdatadescriptor(found)):
        raise _Refused
