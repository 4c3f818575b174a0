"""Frozen records behave as frozen dataclasses with slots do."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from smpchat.encoding.record import Record, as_dict, field, fields, replace

T = TypeVar("T")


class Point(Record):
    """Two coordinates."""

    x: int
    y: int = 0
    ORIGIN: ClassVar[str] = "somewhere"


class Twin(Record):
    x: int
    y: int = 0


class Nothing(Record):
    pass


class Account(Record):
    name: str
    secret: bytes = field(repr=False)
    tags: list[str] = field(default_factory=list)
    note: str | None = field(default=None, repr=False)


class Tagged(Point):
    tag: str = "none"


class Bounded(Record):
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("below zero")

    @property
    def double(self) -> int:
        return 2 * self.value

    def bigger(self) -> Bounded:
        return replace(self, value=self.value + 1)


class Holder(Record, Generic[T]):
    held: T


class Loose(Record):
    """Equal whatever it holds."""

    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loose)

    def __hash__(self) -> int:
        return 1


class Hiding(Account):
    name: str = field(repr=False)


def test_fields_are_given_by_position_or_name_and_have_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(y=3, x=2).y) == (1, 0, 3)
    assert Point.ORIGIN == "somewhere"


def test_wrong_arguments_are_type_errors() -> None:
    for arguments, named in [((), {}), ((1, 2, 3), {}), ((1,), {"z": 3}), ((1,), {"x": 1})]:
        with pytest.raises(TypeError, match=r"Point\.__init__\(\)"):
            Point(*arguments, **named)


def test_the_first_records_of_a_class_are_as_all_others() -> None:
    """Many have an ``__init__`` that is compiled; few are filled without one."""

    class Fresh(Record):
        x: int
        y: list[int] = field(default_factory=list)
        z: str = "z"

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError(self.x)

    classes = set()
    for _ in range(50):
        classes.add(type(vars(Fresh)["__init__"]))
        assert Fresh(1) == Fresh(x=1) == Fresh(1, [], z="z") == Fresh(1, y=[])
        assert Fresh(1).y is not Fresh(1).y
        with pytest.raises(ValueError, match="-1"):
            Fresh(-1)
        wrong: list[tuple[tuple[Any, ...], dict[str, Any]]]
        wrong = [((), {}), ((1, [], "", 0), {}), ((1,), {"w": 3}), ((1,), {"x": 1})]
        for arguments, named in wrong:
            with pytest.raises(TypeError, match=r"Fresh\.__init__\(\)"):
                Fresh(*arguments, **named)
    assert len(classes) == 2


def test_equality_is_of_class_and_fields() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(1, 3)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Twin(1, 2)
    assert Point(1, 2) != (1, 2)
    assert Point(1) != Tagged(1)
    assert {Nothing(): 1, Point(1): 2}[Nothing()] == 1
    assert len({Point(1), Twin(1)}) == 2


def test_a_record_with_something_that_has_no_hash_has_none() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Account("a", b""))


def test_equality_of_its_own_is_kept() -> None:
    assert Loose(1) == Loose(2) and hash(Loose(1)) == 1


def test_records_do_not_change() -> None:
    point = Point(1)
    for name in ("x", "new"):
        with pytest.raises(AttributeError, match="records do not change"):
            setattr(point, name, 2)
        with pytest.raises(AttributeError, match="records do not change"):
            delattr(point, name)
    assert point == Point(1) and not hasattr(point, "__dict__")


def test_patterns_take_fields_by_position_and_name() -> None:
    match Tagged(1, 2, "t"):
        case Tagged(x, y, tag=tag):
            assert (x, y, tag) == (1, 2, "t")
        case _:
            pytest.fail("no match")


def test_repr_leaves_out_what_it_is_told_to() -> None:
    assert repr(Account("me", b"hidden", note="hidden")) == "Account(name='me', tags=[])"
    assert repr(Hiding("hidden", b"hidden")) == "Hiding(tags=[])"
    assert repr(Nothing()) == "Nothing()"


def test_a_factory_makes_a_default_for_each_record() -> None:
    first, second = Account("a", b""), Account("a", b"")
    first.tags.append("x")
    assert (first.tags, second.tags, Account("a", b"", ["t"]).tags) == (["x"], [], ["t"])


def test_a_subclass_has_the_fields_of_its_base_first() -> None:
    Point(1)  # the initialiser of the base exists before that of the subclass
    assert list(fields(Tagged)) == ["x", "y", "tag"]
    assert Tagged(1, 2, "t").tag == "t" and Tagged(1).y == 0
    assert list(fields(Hiding)) == list(fields(Account))


def test_a_check_after_initialisation_refuses() -> None:
    with pytest.raises(ValueError, match="below zero"):
        Bounded(-1)
    assert Bounded(2).double == 4 and Bounded(2).bigger() == Bounded(3)
    with pytest.raises(ValueError, match="below zero"):
        replace(Bounded(1), value=-1)


def test_replace_changes_what_it_names() -> None:
    account = Account("me", b"k", ["t"])
    assert replace(account, name="you") == Account("you", b"k", ["t"])
    with pytest.raises(TypeError):
        replace(account, other=1)  # type: ignore[call-arg]


def test_as_dict_goes_into_records() -> None:
    assert as_dict(Holder(Holder(Point(1, 2)))) == {"held": {"held": {"x": 1, "y": 2}}}


def test_a_generic_record_takes_its_parameter() -> None:
    assert Holder[int](3) == Holder(3)


def test_signature_and_names_tell_what_they_are() -> None:
    class Fresh(Record):
        x: int
        y: int = 5

    assert str(inspect.signature(Fresh)) == "(x, y=5)"  # before there was an instance
    assert Fresh.__init__.__qualname__.endswith("Fresh.__init__")
    assert Fresh.__match_args__ == ("x", "y")


def test_copies_and_pickles_are_equal() -> None:
    account = Account("me", b"k", ["t"])
    assert copy.copy(account) == account == pickle.loads(pickle.dumps(account))
    copied = copy.deepcopy(account)
    copied.tags.append("u")
    assert account.tags == ["t"]
