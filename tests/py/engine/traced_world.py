"""A world for `_engine.Answers`: what it looks at of Django and of us, in plain Python."""

import threading
from collections import namedtuple
from contextvars import ContextVar
from typing import Any

from segment_file import SIZES

from django_cache_manager import _engine

MISS = object()
KEPT = ("_db", "_for_write", "_known_related_objects", "_prefetch_related_lookups")
PLAIN = frozenset({int, str})
Answer = namedtuple("Answer", "value rows copies items cells time plan prototypes", defaults=[None])


class Shape:
    def __init__(self, number: int, **attributes: Any) -> None:
        self.number = number
        self.children: Any = {}
        self.ordering: Any = ()
        self.attributes: Any = {
            **dict.fromkeys((*KEPT, "_hints", "_trace", "_result_cache", "_deferred_filter")),
            "_sticky_filter": False,
            "_defer_next_filter": False,
            "_iterable_class": list,
            "_fields": None,
            **attributes,
        }


class Step:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.readers: Any = None
        self.unordered: Any = []


class Options:
    ordering: Any = ()


class Item:
    _meta = Options()


class Queryset:
    db = property(lambda self: "default")

    def get(self) -> None:
        raise AssertionError("Django's was called")

    def filter(self) -> None:
        raise AssertionError("Django's was called")

    def order_by(self) -> None:
        raise AssertionError("Django's was called")

    def __getitem__(self, key: Any) -> None:
        raise AssertionError("Django's was called")


class Manager:
    _queryset_class: Any = Queryset

    def __init__(self) -> None:
        self.model: Any = Item
        self._db: Any = None
        self._hints: Any = {}

    def get_queryset(self) -> None:
        raise AssertionError("Django's was called")


class Router:
    def __init__(self) -> None:
        self.routers: Any = []

    def db_for_read(self) -> None:
        raise AssertionError("Django's was called")


class Driver:
    in_transaction: Any = False


class Session:
    doubtful: Any = False
    off: Any = None
    level: Any = "level"


class State:
    errored: Any = False

    def __init__(self, driver: Driver) -> None:
        self.driver: Any = driver
        self.session: Any = Session()
        self.dirty: Any = set()


class Connection:
    def __init__(self, driver: Driver) -> None:
        self.connection: Any = driver
        self.needs_rollback: Any = False
        self.timezone_name: Any = "UTC"
        self.alias: Any = "default"
        self.in_atomic_block: Any = False
        self.settings_dict: Any = {"NAME": "database", "OPTIONS": {"timeout": 5}}
        self._thread_ident: Any = threading.get_ident()

    def ensure_connection(self) -> None:
        raise AssertionError("it was asked")


class Local:
    def __init__(self) -> None:
        self._storage: Any = threading.local()


class Holder:
    pass


class Plan:
    native: Any = None
    links: Any = ()


class World:
    """One connection in autocommit, one model; a filter, an ordering and a slice are known."""

    def __init__(self) -> None:
        self.segment = _engine.Segment.private_memory(**SIZES)
        self.cache = _engine.LocalCache(1 << 20)
        self.depth: ContextVar[int] = ContextVar("depth", default=0)
        self.driver = Driver()
        self.state = State(self.driver)
        self.connection = Connection(self.driver)
        self.last_known: dict[str, Any] = {"key": object()}
        self.settings, self.settings_now = object(), dict[str, Any]()
        self.settings_now["_current"] = self.settings
        self.django_settings: dict[str, Any] = {"USE_TZ": True}
        self.router, self.captures, self.connections = Router(), Holder(), Holder()
        self.captures.found = None  # type: ignore[attr-defined]
        self.local = Local()
        self.connections._connections = self.local  # type: ignore[attr-defined]
        self.local._storage.default = self.connection
        self.query_names: dict[str, Any] = {"router": self.router}
        self.loop: Any = None
        self.shape, self.filtered = Shape(1), Shape(2)
        self.shape.attributes["_for_write"] = False
        self.shape.attributes["_known_related_objects"] = {}
        self.shape.attributes["_prefetch_related_lookups"] = ()
        self.shape.children[Queryset.filter, ("pk",), (int,)] = Step(self.filtered)
        names = Queryset.order_by, ("a", "b"), ("flat", True)
        self.named = self.shape.children[names] = Step(Shape(3))
        self.sliced = self.shape.children[Queryset.__getitem__, int, int, True] = Step(Shape(4))
        self.root = _engine.Trace(self.shape, (), ())
        self.roots: dict[Any, Any] = {(Queryset, Item): self.root}
        self.manager = Manager()
        self.stand()
        self.answers = _engine.Answers(
            cache=self.cache,
            miss=MISS,
            captures=self.captures,
            connections=self.connections,
            local_type=threading.local,
            running_loop=lambda: self.loop,
            database=Queryset.db,
            default_alias="default",
            router=self.router,
            db_for_read=Router.db_for_read,
            query_names=self.query_names,
            filtering=Queryset.filter,
            plain=PLAIN,
            kept=KEPT,
            roots=self.roots,
        )
        self.guards = Manager.get_queryset, "get", Queryset.get
        self.filter_guards = Manager.get_queryset, "filter", Queryset.filter

    def standing(self, **changes: Any) -> _engine.Standing:
        arguments: dict[str, Any] = {
            "segment": self.segment,
            "head": b"head",
            "state": self.state,
            "driver": self.driver,
            "session": self.state.session,
            "level": "level",
            "idle": "in_transaction",
            "in_autocommit": None,
            "next_level": None,
            "ensure_connection": Connection.ensure_connection,
            "settings": self.settings,
            "settings_now": self.settings_now,
            "use_tz": True,
            "django_settings": self.django_settings,
            "time_zone": "UTC",
            "schema": None,
            "uncached_depth": self.depth,
            "unopened": None,
            **changes,
        }
        return _engine.Standing(**arguments)

    def stand(self, **changes: Any) -> _engine.Standing:
        standing = self.standing(**changes)
        vars(self.connection)["_cache_manager_standing"] = standing
        return standing

    def close(self) -> None:
        """The connection is closed, and what is known of it is remembered."""
        self.state.driver = self.state.session = self.connection.connection = None
        standing = self.standing(driver=None, session=None, unopened=self.unopened())
        vars(self.connection)["_cache_manager_unopened"] = standing

    def unopened(self, **changes: Any) -> _engine.Unopened:
        settings = self.connection.settings_dict
        arguments: dict[str, Any] = {
            "settings": settings,
            "wanted": {"NAME": settings["NAME"]},
            "options": dict(settings["OPTIONS"]),
            "last_known": self.last_known,
            "key": "key",
            "facts": self.last_known["key"],
            "path": None,
            "file": None,
            **changes,
        }
        return _engine.Unopened(**arguments)

    def queryset(self) -> Any:
        return _engine.pristine(self.manager, self.roots)

    def remember(self, kind: int, *values: Any, number: int = 2, answer: Any = None) -> None:
        """What the trace with these values is answered by from now on."""
        key = _engine.encode_key((b"head", number, kind, *values))
        cells = self.segment.cells(["item"])
        answer = answer or Answer("the value", None, False, None, cells, 0, None)
        self.cache.put(key, self.segment, cells, self.segment.clock(), answer, 100)

    def get(self, **kwargs: Any) -> Any:
        return self.answers.manager_get(self.manager, self.guards, _engine.ONE, kwargs)

    def ask(self, kind: int = _engine.ONE, **kwargs: Any) -> Any:
        """The same of a queryset."""
        return self.answers.answer(self.queryset(), kind, kwargs)
