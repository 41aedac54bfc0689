"""Levels of prefetch_related() from L1: related objects without a Query or SQL.

Stands before prefetch_one_level() of db/models/query.py. What Django made of a level is remembered
under the trace of the queryset it reads from, the relation, and the values of the instances it is
read for: the rows, and which of them belongs to which instance. A hit makes the related objects of
the rows, and hands them out as Django does there and in fields/related_descriptors.py.
"""

from __future__ import annotations

import copy
import itertools
from types import CodeType, FunctionType, NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import Model, Prefetch, prefetch_related_objects
from django.db.models.fields import related_descriptors
from django.db.models.manager import BaseManager

from . import answers, conf, keys, row_plans, traces
from .calls import PK_TYPES, TYPES_OF, Unknown, target
from .captures import capturing

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet

    from ._engine import Trace
    from .captures import Captured

    Level = Callable[[list[Any], Any, Prefetch, int], tuple[list[Any], list[Any]]]

INSTANCES_MAX: Final = 5000
"""Of a level whose key would be too long to be made each time."""

MEMO_RELATIONS: Final = 1024
POSITION_BYTES: Final = 40
"""Of a number and its place in a tuple."""


class Relation(NamedTuple):
    """What is known of a descriptor, or of the class of a related manager."""

    number: int
    attname: str
    """Of the instances' attribute that the related objects are found by."""
    cache_name: str
    is_single: bool
    known: Any = None
    """The foreign key of the related objects that the instances are put into, if they miss it."""
    back: Any = None
    """The field or relation under which the related objects cache their instance."""
    copies: bool = False
    """Whether the querysets of the instances differ in nothing but their instance."""

    @property
    def goes_through(self) -> bool:
        """Whether Django sets something on each related object, for which it runs the queryset
        with its own prefetches."""
        return self.known is not None or self.back is not None


class Links(NamedTuple):
    """Which rows belong to which instance."""

    groups: tuple[tuple[int, ...], ...]
    """Positions of rows, for each value that has any."""
    places: tuple[int, ...]
    """Of each instance's group (of its row, in a single relation), or -1."""
    owners: tuple[int, ...]
    """Of each row's instance; empty where it isn't cached on the related objects."""


_relations: dict[Any, Relation | None] = {}
_numbers = itertools.count(1)
conf.on_change(_relations.clear)


def one_level(original: Level) -> Level:
    """prefetch_one_level()."""

    def method(
        instances: list[Any], prefetcher: Any, lookup: Prefetch, level: int
    ) -> tuple[list[Any], list[Any]]:
        relation = relation_of(prefetcher) if type(lookup) is Prefetch else None
        values = None if relation is None else _values_of(relation, instances)
        if relation is None or values is None:
            return original(instances, prefetcher, lookup, level)
        read = _Level(relation, instances, prefetcher, lookup, level)
        trace = read.trace()
        if trace is None or read.is_refused():
            return original(instances, prefetcher, lookup, level)
        trace = traces.keyed(trace, relation.number, values)
        alias = read.queryset.db
        hit = answers.find(read.queryset, trace, keys.LEVEL, alias)
        if hit is not answers.MISS:
            objects, links = hit
            read.hand_out(objects, values, links)
            return objects, [copy.copy(each) for each in read.further()]
        with capturing() as captured:
            found = original(instances, prefetcher, lookup, level)
        if captured and (len(captured) == 1 or read.reads_ahead()):
            read.remember(trace, alias, captured[0], found[0])
        return found

    return method


class _Level:
    """One run of one level, for some instances."""

    def __init__(
        self, relation: Relation, instances: list[Any], prefetcher: Any, lookup: Any, level: int
    ) -> None:
        self.relation = relation
        self.instances = instances
        self.prefetcher = prefetcher
        self.to_attr, self.as_attr = lookup.get_current_to_attr(level)
        given = lookup.get_current_querysets(level)
        self.has_default = not given
        self.queryset: Any = given[0] if given else self._default()
        is_leaf = len(lookup.prefetch_through.split("__")) - 1 == level
        self.given = lookup.queryset if is_leaf else None

    def _default(self) -> QuerySet[Any]:
        """What the related objects are read from, if no other is given."""
        prefetcher: Any = self.prefetcher
        if self.relation.is_single:
            return prefetcher.get_queryset(instance=self.instances[0])
        default: Any = super(type(prefetcher), prefetcher)
        found: QuerySet[Any] = default.get_queryset()
        return found

    def trace(self) -> Trace | None:
        """Of the queryset, which gets the hints that Django gives it."""
        if getattr(self.queryset, "_trace", None) is None:
            return None
        self.queryset._add_hints(instance=self.instances[0])
        return traces.resolved(self.queryset)

    def further(self) -> tuple[Any, ...]:
        lookups: tuple[Any, ...] = self.queryset._prefetch_related_lookups
        return lookups

    def is_refused(self) -> bool:
        """Whether Django refuses the attribute that the objects are to be put into."""
        if self.as_attr:
            try:
                type(self.instances[0])._meta.get_field(self.to_attr)
            except FieldDoesNotExist:
                return False
        return bool(self.as_attr)

    # --- a hit ----------------------------------------------------------------------------------

    def hand_out(self, objects: list[Any], values: tuple[Any, ...], links: Links) -> None:
        relation, instances = self.relation, self.instances
        if relation.goes_through:
            prefetch_related_objects(objects, *self.further())
        if relation.known is not None:
            related = dict(zip(values, instances, strict=True))
            row_plans.set_known_related_objects(
                self.queryset.model, objects, relation.known, related
            )
        for each, owner in zip(objects, links.owners, strict=False):
            relation.back.set_cached_value(each, instances[owner])
        found: list[Any]
        if relation.is_single:
            found = [None if place < 0 else objects[place] for place in links.places]
        else:
            lists = [[objects[n] for n in group] for group in links.groups]
            found = [[] if place < 0 else lists[place] for place in links.places]
        if self.as_attr:
            for instance, each in zip(instances, found, strict=True):
                setattr(instance, self.to_attr, each)
        elif relation.is_single:
            for instance, each in zip(instances, found, strict=True):
                instance._state.fields_cache[relation.cache_name] = each
        else:
            self._hand_out_querysets(values, found)

    def _hand_out_querysets(self, values: tuple[Any, ...], found: list[list[Any]]) -> None:
        name = self.relation.cache_name
        model = self._model_of_copies()
        for place, (instance, each) in enumerate(zip(self.instances, found, strict=True)):
            queryset = self._queryset_of(instance)
            queryset._result_cache = each
            queryset._prefetch_done = True
            instance._prefetched_objects_cache[name] = queryset
            if place == 0 and model is not None and self._copy(queryset, values, found):
                return

    def _queryset_of(self, instance: Any) -> Any:
        manager = getattr(instance, self.to_attr)
        if self.given is not None:
            # Django 6.1 filters in place, and clones before.
            given = self.given.all() if traces.CAN_WORK_IN_PLACE else self.given
            return manager._apply_rel_filters(given)
        return manager.get_queryset()

    def _model_of_copies(self) -> type[Model] | None:
        """The instances' class, where their querysets can be copies of the first one's."""
        kind, relation = type(self.instances[0]), self.relation
        if (
            relation.copies
            and self.given is None
            # Of a foreign key's, Django asks the router, each time.
            and (relation.known is None or not router.routers)
            and kind._meta.pk.attname == relation.attname
            # Of a parent, Django 6.1 looks for what is prefetched there.
            and not kind._meta.parents
            and all(type(each) is kind for each in self.instances)
            and not any(
                relation.cache_name in each._prefetched_objects_cache for each in self.instances
            )
        ):
            return kind
        return None

    def _copy(self, first: Any, values: tuple[Any, ...], found: list[list[Any]]) -> bool:
        """Gives all instances but the first a copy of its queryset, each its own."""
        theirs = vars(first)
        deferred = theirs["_deferred_filter"]
        instance, known = self.instances[0], self.relation.known
        if (
            theirs.get("_trace") is None
            or "_query" in theirs
            or deferred is None
            or list(deferred[2].values()) != [values[0] if known is None else instance]
            or list(theirs["_hints"]) != ["instance"]
        ):
            return False
        (name,), cache_name, kind = deferred[2], self.relation.cache_name, type(first)
        for instance, value, each in zip(self.instances[1:], values[1:], found[1:], strict=True):
            own = theirs.copy()
            own["_hints"] = {"instance": instance}
            own["_result_cache"] = each
            if "_fetch_mode" in own:
                own["_fetch_mode"] = instance._state.fetch_mode
            if known is None:
                own["_known_related_objects"] = {}
                own["_deferred_filter"] = False, (), {name: value}
            else:
                own["_known_related_objects"] = {known: {value: instance}}
                own["_deferred_filter"] = False, (), {name: instance}
            made = object.__new__(kind)
            made.__dict__ = own
            instance._prefetched_objects_cache[cache_name] = made
        return True

    # --- a miss ---------------------------------------------------------------------------------

    def reads_ahead(self) -> bool:
        """Whether Django, having read this level, has read those that its queryset asks for, and
        nothing else."""
        plain = self.relation.copies or not self.has_default
        return plain and self.relation.goes_through and bool(self.further())

    def remember(
        self, trace: Trace, alias: str, captured: Captured | None, objects: list[Any]
    ) -> None:
        """Keeps what Django has made of the level."""
        if captured is None or captured.rows is None or captured.items is None:
            return
        rows, known = captured.rows, self.relation.known
        if len(rows) != len(objects) or (
            known is not None and any(known.attname not in vars(each) for each in objects)
        ):
            return
        if router.routers and {each._state.db for each in objects} != {alias}:
            return  # a router that is asked again may name another
        links = self._links(objects)
        if links is None:
            return
        size = POSITION_BYTES * (2 * len(rows) + len(links.places) + len(links.groups))
        kept = answers.Answer.of_rows(captured, links)
        answers.keep(trace, keys.LEVEL, alias, captured, kept, size)

    def _links(self, objects: list[Any]) -> Links | None:
        """From what Django has handed out; None where that isn't understood."""
        relation = self.relation
        positions = {id(each): n for n, each in enumerate(objects)}
        groups: dict[tuple[int, ...], int] = {}
        places: list[int] = []
        owners: list[int] = []
        try:
            for instance in self.instances:
                found = self._found(instance)
                if relation.is_single:
                    places.append(-1 if found is None else positions[id(found)])
                    continue
                group = tuple([positions[id(each)] for each in found])
                places.append(groups.setdefault(group, len(groups)) if group else -1)
            if relation.back is not None:
                numbers = {id(each): n for n, each in enumerate(self.instances)}
                owners = [numbers[id(relation.back.get_cached_value(each))] for each in objects]
        except (KeyError, TypeError):
            return None
        return Links(tuple(groups), tuple(places), tuple(owners))

    def _found(self, instance: Any) -> Any:
        name = self.relation.cache_name
        if self.as_attr:
            return vars(instance)[self.to_attr]
        if self.relation.is_single:
            return instance._state.fields_cache[name]
        return instance._prefetched_objects_cache[name]._result_cache


def _values_of(relation: Relation, instances: list[Any]) -> tuple[Any, ...] | None:
    """What the related objects are found by, of each instance; None where Django has to look."""
    if len(instances) > INSTANCES_MAX:
        return None
    for kind in set(map(type, instances)):
        if not issubclass(kind, Model) or not row_plans.is_plainly_read(kind, relation.attname):
            return None
    try:
        values = tuple([vars(each)[relation.attname] for each in instances])
    except KeyError:
        return None
    kinds = {*PK_TYPES, NoneType} if relation.is_single else set(PK_TYPES)
    return values if kinds.issuperset(map(type, values)) else None


# --- relations ----------------------------------------------------------------------------------

_FORWARD: Final = (
    related_descriptors.ForwardManyToOneDescriptor,
    related_descriptors.ForwardOneToOneDescriptor,
)
_REVERSE: Final = related_descriptors.ReverseOneToOneDescriptor


def relation_of(prefetcher: Any) -> Relation | None:
    """None: not one of Django's own, or of several columns."""
    kind = type(prefetcher)
    owner = prefetcher if kind in _FORWARD or kind is _REVERSE else kind
    if owner not in _relations:
        if len(_relations) >= MEMO_RELATIONS:
            _relations.clear()
        _relations[owner] = _relation(prefetcher, kind)
    relation = _relations[owner]
    named = relation is not None and not relation.is_single and prefetcher._db is not None
    return None if named else relation


def _relation(prefetcher: Any, kind: type) -> Relation | None:
    number = next(_numbers)
    if kind in _FORWARD:
        field = prefetcher.field
        remote = field.remote_field
        attname = _only(field.local_related_fields)
        back = None if remote.multiple else remote
        return attname and Relation(number, attname, field.cache_name, True, back=back)
    if kind is _REVERSE:
        field = prefetcher.related.field
        attname = _only(field.foreign_related_fields)
        name = prefetcher.related.cache_name
        return attname and Relation(number, attname, name, True, back=field)
    copies = _gives_plain_querysets(kind)
    if _is_made_by(kind, related_descriptors.create_reverse_many_to_one_manager):
        field = prefetcher.field
        attname = _only(field.foreign_related_fields)
        name = field.remote_field.cache_name
        return attname and Relation(number, attname, name, False, known=field, copies=copies)
    if _is_made_by(kind, related_descriptors.create_forward_many_to_many_manager):
        attname = _only(prefetcher.source_field.foreign_related_fields)
        name = prefetcher.prefetch_cache_name
        return attname and Relation(number, attname, name, False, copies=copies)
    return None


def _only(fields: tuple[Any, ...]) -> Any:
    """The attribute of the only field, if it is of a plain class: another's values may mean more
    than they show."""
    try:
        is_plain = len(fields) == 1 and type(target(fields[0])) in TYPES_OF
    except Unknown:
        return None
    return fields[0].attname if is_plain else None


_METHODS: Final = ("__init__", "get_queryset", "get_prefetch_querysets", "_apply_rel_filters")


def _is_made_by(kind: type, make: Callable[..., Any]) -> bool:
    """Whether a manager's class, and its methods, are made by a function of Django's."""
    codes = set(_codes(make.__code__))
    own = [vars(kind).get(name) for name in _METHODS]
    return all(type(each) is FunctionType and each.__code__ in codes for each in own)


def _codes(code: CodeType) -> list[CodeType]:
    inner = [each for each in code.co_consts if type(each) is CodeType]
    return [*inner, *itertools.chain.from_iterable(map(_codes, inner))]


def _gives_plain_querysets(kind: type) -> bool:
    """Whether what a related manager's class is made of changes neither it nor its querysets."""
    default: Any = kind.__mro__[1]
    return all(
        getattr(default, name) is getattr(BaseManager, name)
        for name in ("__init__", "__new__", "__getattribute__", "get_queryset", "using")
        if hasattr(BaseManager, name)
    )
