"""How one contact is shown with all details: its profile, and what you and the contact allow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpchat.chat.service.introducing import ContactDetails
from smpchat.chat.service.views import GroupView
from smpchat.chat.store.contact_settings import FOR_EVER
from smpchat.chat.wire.durations import duration_text
from smpchat.chat.wire.preferences import Allow, Feature, allowed
from smpchat.cli.environment import Environment
from smpchat.cli.features import SETTINGS, Setting
from smpchat.cli.text import printable, shortened
from smpchat.cli.times import since
from smpchat.cli.views.contacts import contact_fields, contact_line
from smpchat.cli.views.groups import about_rules
from smpchat.cli.views.layout import Cell, show_table, table

if TYPE_CHECKING:
    from rich.table import Table

_LABELS = {setting.feature: setting.label for setting in SETTINGS.values() if setting.feature is not None}


def show_details(environment: Environment, details: ContactDetails, line: str | None = None) -> None:
    """For scripts, print a ``contact`` object with everything that is known. For people, print ``line``; if it is None,
    a paragraph and a table."""
    if environment.json:
        environment.emit("contact", _fields(details), "")
    elif line is not None:
        environment.show(line)
    else:
        environment.show(_paragraph(environment, details))
        if details.view.group is not None:
            return
        show_table(environment, _HEADINGS, _rows(details))


def _fields(details: ContactDetails) -> dict[str, Any]:
    fields = contact_fields(details.view)
    group = details.view.group
    if group is not None:
        if group.disappear_after is not None:
            fields["disappear_after"] = group.disappear_after
        return fields
    fields["preferences"] = {
        str(feature): {
            "ours": str(allowed(details.agreement.ours, feature).allow),
            "theirs": str(allowed(details.agreement.theirs, feature).allow),
            "by_us": details.agreement.on(feature).by_us,
            "by_them": details.agreement.on(feature).by_them,
        }
        for feature in Feature
    }
    if details.agreement.ttl is not None:
        fields["disappear_after"] = details.agreement.ttl
    return fields


def _muted(environment: Environment, details: ContactDetails) -> str:
    """Whether a contact is muted for ever or for a time, such as ``muted until 14:02``."""
    until = details.view.muted_until or FOR_EVER
    return "muted" if until == FOR_EVER else f"muted until {since(until, environment.now())}"


def _paragraph(environment: Environment, details: ContactDetails) -> str:
    view = details.view
    lines = [contact_line(view)]
    profile = view.contact.profile
    if profile is not None and profile.full_name:
        lines.append(f"Full name: {shortened(profile.full_name, 100)}")
    if profile is not None and profile.description:
        lines.append(f"About: {printable(profile.description)}")
    if view.contact.picture:
        lines.append("Picture: yes (--save-picture FILE saves it)")
    if view.group is not None:
        lines += _of_group(view.group)
    else:
        lines.append(f"Security code: {'compared' if view.verified else 'not compared yet'}")
        lines.append(f"Post-quantum keys: {'yes' if view.pq else 'no'}")
    whose = (
        "as for all contacts" if details.receipts is None else f"set for this {'group' if view.group else 'contact'}"
    )
    lines.append(f"Receipts for their messages: {'on' if view.receipts else 'off'}, {whose}")
    if view.muted_until is not None:
        lines.append(f"Notifications: {_muted(environment, details)}")
    return "\n".join(lines) + "\n"


def _of_group(group: GroupView) -> list[str]:
    lines = [f"Description: {printable(group.description)}"] if group.description else []
    lines += [f"Welcome text: {printable(group.welcome, lines=True)}"] if group.welcome else []
    return [*lines, about_rules(group)]


_HEADINGS = ("Feature", "You", "They", "Result")


def preferences_table(details: ContactDetails) -> Table:
    """A table with a row for each feature: what you allow, what the contact allows, and who may therefore use the
    feature. The caller draws the table."""
    return table(_HEADINGS, _rows(details))


def _rows(details: ContactDetails) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for feature, label in _LABELS.items():
        ours, theirs = (allowed(said, feature).allow for said in (details.agreement.ours, details.agreement.theirs))
        rows.append([[(label, "bold")], [(ours, "")], [(theirs, "")], [(_outcome(details, feature), "")]])
    return rows


def _outcome(details: ContactDetails, feature: Feature) -> str:
    """Who may use a feature, in a word or two. For disappearing messages, this is the time after which they
    disappear."""
    who = details.agreement.on(feature)
    if feature is Feature.TIMED_MESSAGES:
        ttl = details.agreement.ttl
        return "off" if not who.by_us else "allowed" if ttl is None else f"after {duration_text(ttl)}"
    match who.by_us, who.by_them:
        case True, True:
            return "on"
        case True, False:
            return "only you"
        case False, True:
            return f"only {shortened(details.view.alias, 20)}"
    return "off"


def told(environment: Environment, details: ContactDetails, setting: Setting) -> str:
    """A sentence that says which effect a setting for a contact has, now that the user has changed it."""
    if setting is SETTINGS["mute"]:
        how = "not muted" if details.view.muted_until is None else _muted(environment, details)
        return f"{shortened(details.view.alias)} is {how}."
    feature = setting.feature
    if feature is None:
        return _told_of_receipts(details)
    name, label = shortened(details.view.alias), _LABELS[feature]
    who, theirs = details.agreement.on(feature), allowed(details.agreement.theirs, feature).allow
    ours = allowed(details.agreement.ours, feature)
    if feature is Feature.TIMED_MESSAGES:
        if who.by_us and details.agreement.ttl is not None:
            return f"Messages with {name} disappear {duration_text(details.agreement.ttl)} after they are shown."
        if ours.allow is Allow.NO:
            return f"Messages with {name} do not disappear."
        if theirs is Allow.NO:
            return f"{name} does not allow disappearing messages, so messages stay."
        return f"Disappearing messages are allowed with {name}, but off until one of you sets a time."
    them = "it" if feature is Feature.FULL_DELETE else "them"
    match who.by_us, who.by_them:
        case True, True:
            return f"{label}: on for you and {name}."
        case True, False:
            return f"{label}: only for you, because you do not allow {them} for {name}."
        case False, True:
            return f"{label}: only for {name}, because {name} does not allow {them} for you."
    because = f"{name} does not allow {them}" if ours.allow is not Allow.NO else f"you do not allow {them}"
    return f"{label}: off, because {because}."


def _told_of_receipts(details: ContactDetails) -> str:
    name = shortened(details.view.alias)
    if details.view.group is not None:
        who = f"Members of {name}"
        if details.view.receipts:
            return f"{who} now get receipts when messages arrive here."
        return f"{who} no longer get receipts, and see messages to you as sent, never as delivered."
    if details.view.receipts:
        return f"{name} now gets receipts when messages arrive here."
    return f"{name} no longer gets receipts, and sees messages to you as sent, never as delivered."
