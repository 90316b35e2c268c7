"""Task definitions: checked as the Task Scheduler's schema says ([MS-TSCH] 2.5), parsed, and written out anew.

Sequences must come in order, xs:all groups in any order with each element at most once; what is unknown, misplaced,
missing or of the wrong form is refused with the position, the node and the value, as the service reports them in
TASK_XML_ERROR_INFO. A trigger's common elements may also come in the order in which Windows itself writes them when
it exports a task, which is not the schema's. `serialize` writes a task back the way the service does: other white
space, own additions (URI, defaults), so that a client which compares bytes fails here too.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from xml.parsers import expat

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"

# [MS-TSCH] 2.3.14
UNEXPECTED_NODE = 0x80041316
WRONG_NAMESPACE = 0x80041317
INVALID_VALUE = 0x80041318
MISSING_NODE = 0x80041319
MALFORMED = 0x8004131A
TOO_MANY_NODES = 0x8004131D

XML_MAX = 1 << 20


class TaskXmlError(Exception):
    """Why a definition is refused: an HRESULT and TASK_XML_ERROR_INFO."""

    def __init__(self, hresult, line, column, node="", value=""):
        super().__init__(f"0x{hresult:08X} ({line},{column}):{node}:{value}")
        self.hresult, self.line, self.column, self.node, self.value = hresult, line, column, node, value


@dataclass
class Node:
    """An element, with where it began."""

    name: str
    attributes: dict
    line: int
    column: int
    text: str = ""
    children: list = field(default_factory=list)

    def find(self, path):
        node = self
        for name in path.split("/"):
            node = next((child for child in node.children if child.name == name), None)
            if node is None:
                return None
        return node

    def value(self, path, default=None):
        node = self.find(path)
        return default if node is None else node.text.strip()


# -- simple types -------------------------------------------------------------------------------------------------

_DURATION = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?$", re.ASCII
)
_DATETIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$", re.ASCII)


def seconds(text):
    """The length of an xs:duration in seconds (a year is 365 days, a month 30), None when it is none."""
    match = _DURATION.match(text)
    if not match:
        return None
    years, months, days, hours, minutes, secs = (int(group or 0) for group in match.groups())
    return (((years * 365 + months * 30 + days) * 24 + hours) * 60 + minutes) * 60 + secs


def instant(text, local=timezone.utc):
    """An xs:dateTime as an aware datetime (without a zone it means the target's local time), None when it is none."""
    match = _DATETIME.match(text)
    if not match:
        return None
    parts = [int(group) for group in match.groups()[:6]]
    zone = match.group(8)
    try:
        moment = datetime(*parts, int(float(match.group(7) or 0) * 1_000_000))
        if zone is None:
            return moment.replace(tzinfo=local)
        if zone == "Z":
            return moment.replace(tzinfo=timezone.utc)
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset))
    except ValueError:
        return None


def is_true(text, default):
    return default if text is None else text in ("true", "1")


def _boolean(text):
    return text in ("true", "false", "1", "0")


def _string(_text):
    return True


def _non_empty(text):
    return bool(text)


def _path(text):
    return 1 <= len(text) <= 260


def _date(text):
    return instant(text) is not None


def _empty(text):
    return text == ""


def _duration(least=0, most=None):
    def check(text):
        length = seconds(text)
        return length is not None and length >= least and (most is None or length <= most)

    return check


def _number(least, most):
    return lambda text: bool(re.fullmatch(r"[+-]?\d+", text, re.ASCII)) and least <= int(text) <= most


def _one_of(*values):
    return lambda text: text in values


def _pattern(pattern):
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: bool(compiled.fullmatch(text))


_GUID = _pattern(r"\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}")
_ID = _pattern(r"[A-Za-z_][\w.\-]*")
_MINUTE, _MONTH = 60, 31 * 86400


# -- complex types ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """A complex type. `parts` maps element names to (type, least, most); kind says how they may follow each other."""

    kind: str  # "all", "sequence" or "choice"
    parts: dict
    attributes: dict = field(default_factory=dict)
    most: int | None = None  # how many elements a repeated choice may have
    least: int = 0
    other_order: tuple = ()  # a second accepted order of a sequence's first elements


def _all(attributes=None, **parts):
    return Group("all", {name: _occurs(what) for name, what in parts.items()}, attributes or {})


def _sequence(attributes=None, **parts):
    return Group("sequence", {name: _occurs(what) for name, what in parts.items()}, attributes or {})


def _occurs(what):
    """A bare type is optional and single; need() and many() say otherwise."""
    return what if isinstance(what, tuple) else (what, 0, 1)


def need(kind):
    return (kind, 1, 1)


def many(kind, least, most):
    return (kind, least, most)


def _days():
    return _all(**{day: _empty for day in "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()})


def _months():
    names = "January February March April May June July August September October November December"
    return _all(**{month: _empty for month in names.split()})


ANY = object()

_REPETITION = _all(
    Interval=need(_duration(_MINUTE, _MONTH)), Duration=_duration(_MINUTE), StopAtDurationEnd=_boolean
)


_BASE_ORDER_WRITTEN = ("Repetition", "StartBoundary", "EndBoundary", "ExecutionTimeLimit", "Enabled")


def _trigger(**own):
    base = {
        "Enabled": _boolean,
        "StartBoundary": _date,
        "EndBoundary": _date,
        "Repetition": _REPETITION,
        "ExecutionTimeLimit": _duration(),
    }
    parts = {name: _occurs(what) for name, what in (base | own).items()}
    return Group("sequence", parts, {"id": _ID}, other_order=_BASE_ORDER_WRITTEN + tuple(own))


_SCHEDULES = {
    "ScheduleByDay": _all(DaysInterval=_number(1, 365)),
    "ScheduleByWeek": _all(WeeksInterval=_number(1, 52), DaysOfWeek=_days()),
    "ScheduleByMonth": _all(
        DaysOfMonth=_sequence(Day=many(_pattern("[1-9]|[12][0-9]|3[01]|Last"), 0, 32)), Months=_months()
    ),
    "ScheduleByMonthDayOfWeek": _all(
        Weeks=_sequence(Week=many(_pattern("[1-4]|Last"), 0, 5)), DaysOfWeek=need(_days()), Months=_months()
    ),
}

_TRIGGERS = {
    "BootTrigger": _trigger(Delay=_duration()),
    "RegistrationTrigger": _trigger(Delay=_duration()),
    "IdleTrigger": _trigger(),
    "TimeTrigger": _trigger(RandomDelay=_duration()),
    "EventTrigger": _trigger(
        Subscription=need(_non_empty),
        Delay=_duration(),
        PeriodOfOccurrence=_duration(),
        NumberOfOccurrences=_number(1, 32),
        MatchingElement=_non_empty,
        ValueQueries=_sequence(Value=many(_non_empty, 1, 32)),
    ),
    "LogonTrigger": _trigger(UserId=_non_empty, Delay=_duration()),
    "SessionStateChangeTrigger": _trigger(
        UserId=_non_empty,
        Delay=_duration(),
        StateChange=need(
            _one_of(
                "ConsoleConnect", "ConsoleDisconnect", "RemoteConnect", "RemoteDisconnect", "SessionLock",
                "SessionUnlock",
            )
        ),
    ),
    "CalendarTrigger": _trigger(RandomDelay=_duration(), **_SCHEDULES),
}

_ACTIONS = {
    "Exec": _all({"id": _ID}, Command=need(_path), Arguments=_string, WorkingDirectory=_path),
    "ComHandler": _all({"id": _ID}, ClassId=need(_GUID), Data=ANY),
    "SendEmail": _all(
        {"id": _ID},
        Server=need(_non_empty),
        **{name: _string for name in ("Subject", "To", "Cc", "Bcc", "ReplyTo", "From", "Body")},
        HeaderFields=_sequence(HeaderField=many(_all(Name=need(_non_empty), Value=need(_string)), 0, 32)),
        Attachments=_sequence(File=many(_non_empty, 0, 8)),
    ),
    "ShowMessage": _all({"id": _ID}, Title=need(_non_empty), Body=need(_non_empty)),
}

_SETTINGS = _all(
    AllowStartOnDemand=_boolean,
    RestartOnFailure=_all(Interval=need(_duration(_MINUTE, _MONTH)), Count=need(_number(1, 255))),
    MultipleInstancesPolicy=_one_of("Parallel", "Queue", "IgnoreNew", "StopExisting"),
    DisallowStartIfOnBatteries=_boolean,
    StopIfGoingOnBatteries=_boolean,
    AllowHardTerminate=_boolean,
    StartWhenAvailable=_boolean,
    NetworkProfileName=_string,
    RunOnlyIfNetworkAvailable=_boolean,
    WakeToRun=_boolean,
    Enabled=_boolean,
    Hidden=_boolean,
    DeleteExpiredTaskAfter=_duration(),
    IdleSettings=_all(
        Duration=_duration(_MINUTE), WaitTimeout=_duration(_MINUTE), StopOnIdleEnd=_boolean, RestartOnIdle=_boolean
    ),
    NetworkSettings=_all(Name=_non_empty, Id=_GUID),
    ExecutionTimeLimit=_duration(),
    Priority=_number(0, 10),
    RunOnlyIfIdle=_boolean,
    UseUnifiedSchedulingEngine=_boolean,
    DisallowStartOnRemoteAppSession=_boolean,
)
_SINCE_1_3 = ("UseUnifiedSchedulingEngine", "DisallowStartOnRemoteAppSession")

_PRINCIPAL = _all(
    {"id": _ID},
    UserId=_non_empty,
    LogonType=_one_of("S4U", "Password", "InteractiveToken", "InteractiveTokenOrPassword"),
    GroupId=_non_empty,
    DisplayName=_string,
    RunLevel=_one_of("LeastPrivilege", "HighestAvailable"),
    ProcessTokenSidType=_one_of("None", "Unrestricted"),
    RequiredPrivileges=_sequence(Privilege=many(_pattern(r"Se[A-Za-z]+Privilege"), 1, 64)),
)

TASK = _all(
    {"version": _pattern(r"\d+(\.\d+){1,3}")},
    RegistrationInfo=_all(
        URI=_string, SecurityDescriptor=_string, Source=_string, Date=_date, Author=_string, Version=_string,
        Description=_string, Documentation=_string,
    ),
    Triggers=Group("choice", {name: (kind, 0, None) for name, kind in _TRIGGERS.items()}, most=48),
    Settings=_SETTINGS,
    Data=ANY,
    Principals=_sequence(Principal=need(_PRINCIPAL)),
    Actions=need(
        Group("choice", {name: (kind, 0, None) for name, kind in _ACTIONS.items()}, {"Context": _ID}, most=32, least=1)
    ),
)


# -- parsing ------------------------------------------------------------------------------------------------------


class _Builder:
    """expat's events -> Nodes; positions count characters from 1, as the service does."""

    def __init__(self, text):
        self.root = None
        self._stack = []
        self._parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = lambda _name: self._stack.pop()
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.buffer_text = True
        try:
            self._parser.Parse(text.encode("utf-8"), True)
        except expat.ExpatError as error:
            raise TaskXmlError(MALFORMED, error.lineno, error.offset + 1) from error

    def _position(self):
        return self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1

    def _doctype(self, *_):
        raise TaskXmlError(MALFORMED, *self._position())

    def _start(self, name, attributes):
        line, column = self._position()
        space, _, local = name.rpartition(" ")
        if space != NAMESPACE and not any(node.name == "Data" for node in self._stack):
            raise TaskXmlError(WRONG_NAMESPACE, line, column, local, space)
        node = Node(local, attributes, line, column)
        if self._stack:
            self._stack[-1].children.append(node)
        else:
            self.root = node
        self._stack.append(node)

    def _text(self, data):
        self._stack[-1].text += data


def parse(text):
    """A task definition, checked; raises TaskXmlError."""
    if len(text) > XML_MAX or text.startswith("\ufeff"):
        raise TaskXmlError(MALFORMED, 1, 1)
    declaration = re.match(r"<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']", text)
    # the call carries UTF-16; a declaration that says otherwise stops the service's parser right there
    if declaration and declaration.group(1).upper() not in ("UTF-16", "UTF-16LE", "UNICODE"):
        raise TaskXmlError(MALFORMED, 1, declaration.start(1))
    root = _Builder(text).root
    if root.name != "Task":
        raise TaskXmlError(UNEXPECTED_NODE, root.line, root.column, root.name)
    _check(root, TASK)
    _check_meaning(root)
    return root


def _check(node, kind):
    if kind is ANY:
        return
    if not isinstance(kind, Group):
        if node.children:
            child = node.children[0]
            raise TaskXmlError(UNEXPECTED_NODE, child.line, child.column, child.name)
        attribute = next(iter(node.attributes), None)
        if attribute and node.name != "Value":
            raise TaskXmlError(UNEXPECTED_NODE, node.line, node.column, attribute)
        text = node.text if kind in (_string, _path, _non_empty) else node.text.strip()
        if not kind(text):
            raise TaskXmlError(INVALID_VALUE, node.line, node.column, node.name, node.text)
        return
    for name, value in node.attributes.items():
        if name not in kind.attributes:
            raise TaskXmlError(UNEXPECTED_NODE, node.line, node.column, name, value)
        if not kind.attributes[name](value):
            raise TaskXmlError(INVALID_VALUE, node.line, node.column, name, value)
    if node.text.strip():
        raise TaskXmlError(UNEXPECTED_NODE, node.line, node.column, node.name, node.text.strip())
    _check_children(node, kind)


def _check_children(node, kind):
    counts, order, reached = {}, list(kind.parts), 0
    names = [child.name for child in node.children if child.name in kind.parts]
    if kind.other_order and names == sorted(names, key=kind.other_order.index):
        order = list(kind.other_order)
    for child in node.children:
        if child.name not in kind.parts:
            raise TaskXmlError(UNEXPECTED_NODE, child.line, child.column, child.name)
        part, _, most = kind.parts[child.name]
        if kind.kind == "sequence":
            place = order.index(child.name)
            if place < reached:
                raise TaskXmlError(UNEXPECTED_NODE, child.line, child.column, child.name)
            reached = place
        counts[child.name] = counts.get(child.name, 0) + 1
        if most is not None and counts[child.name] > most:
            code = UNEXPECTED_NODE if most == 1 else TOO_MANY_NODES
            raise TaskXmlError(code, child.line, child.column, child.name)
        _check(child, part)
    if kind.most is not None and len(node.children) > kind.most:
        raise TaskXmlError(TOO_MANY_NODES, node.line, node.column, node.name)
    if len(node.children) < kind.least:
        raise TaskXmlError(MISSING_NODE, node.line, node.column, next(iter(kind.parts)))
    for name, (_, least, _) in kind.parts.items():
        if counts.get(name, 0) < least:
            raise TaskXmlError(MISSING_NODE, node.line, node.column, name)


def _check_meaning(root):
    """What the service asks for beyond the schema."""
    ids = {}
    for parent in ("Principals", "Triggers", "Actions"):
        for node in root.find(parent).children if root.find(parent) else []:
            name = node.attributes.get("id")
            if name is not None and name in ids:
                raise TaskXmlError(INVALID_VALUE, node.line, node.column, "id", name)
            ids[name] = node.name
    actions = root.find("Actions")
    context = actions.attributes.get("Context")
    if context is not None and ids.get(context) != "Principal":
        raise TaskXmlError(INVALID_VALUE, actions.line, actions.column, "Context", context)
    triggers = root.find("Triggers").children if root.find("Triggers") else []
    for trigger in triggers:
        if trigger.name in ("TimeTrigger", "CalendarTrigger") and trigger.find("StartBoundary") is None:
            raise TaskXmlError(MISSING_NODE, trigger.line, trigger.column, "StartBoundary")
        if trigger.name == "CalendarTrigger" and sum(child.name in _SCHEDULES for child in trigger.children) != 1:
            raise TaskXmlError(MISSING_NODE, trigger.line, trigger.column, "ScheduleByDay")
    principal = root.find("Principals/Principal")
    if principal is not None and principal.find("UserId") is not None and principal.find("GroupId") is not None:
        raise TaskXmlError(UNEXPECTED_NODE, principal.line, principal.column, "GroupId")
    settings = root.find("Settings")
    if settings is None:
        return
    version = tuple(int(part) for part in root.attributes.get("version", "1.2").split("."))
    for child in settings.children:
        if child.name in _SINCE_1_3 and version < (1, 3):
            raise TaskXmlError(UNEXPECTED_NODE, child.line, child.column, child.name)
    # a task can only expire when a trigger ends
    if settings.find("DeleteExpiredTaskAfter") is not None:
        if not any(trigger.find("EndBoundary") is not None for trigger in triggers):
            raise TaskXmlError(MISSING_NODE, settings.line, settings.column, "EndBoundary")


# -- writing ------------------------------------------------------------------------------------------------------

_SETTING_DEFAULTS = (
    ("MultipleInstancesPolicy", "IgnoreNew"),
    ("DisallowStartIfOnBatteries", "true"),
    ("StopIfGoingOnBatteries", "true"),
    ("AllowHardTerminate", "true"),
    ("StartWhenAvailable", "false"),
    ("RunOnlyIfNetworkAvailable", "false"),
    ("AllowStartOnDemand", "true"),
    ("Enabled", "true"),
    ("Hidden", "false"),
    ("RunOnlyIfIdle", "false"),
    ("WakeToRun", "false"),
    ("ExecutionTimeLimit", "PT72H"),
    ("Priority", "7"),
)
_TOP_ORDER = ("RegistrationInfo", "Triggers", "Principals", "Settings", "Actions", "Data")


def _escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _write(node, depth, out):
    attributes = "".join(f' {name}="{_escape(value)}"' for name, value in node.attributes.items())
    indent = "  " * depth
    if node.children:
        out.append(f"{indent}<{node.name}{attributes}>\r\n")
        for child in node.children:
            _write(child, depth + 1, out)
        out.append(f"{indent}</{node.name}>\r\n")
    elif node.text:
        out.append(f"{indent}<{node.name}{attributes}>{_escape(node.text)}</{node.name}>\r\n")
    else:
        out.append(f"{indent}<{node.name}{attributes} />\r\n")


def serialize(root, path, enabled=True):
    """The definition as SchRpcRetrieveTask gives it: normalised, with the task's URI and the settings' defaults."""
    top = {child.name: child for child in root.children}
    info = top.get("RegistrationInfo") or Node("RegistrationInfo", {}, 0, 0)
    info_children = [child for child in info.children if child.name != "URI"]
    top["RegistrationInfo"] = Node("RegistrationInfo", {}, 0, 0, "", [*info_children, Node("URI", {}, 0, 0, path)])
    settings = top.get("Settings")
    given = {child.name: child for child in settings.children} if settings else {}
    children = []
    for name, default in _SETTING_DEFAULTS:
        children.append(given.pop(name, None) or Node(name, {}, 0, 0, default))
    children += given.values()
    for child in children:
        if child.name == "Enabled":
            child.text = "true" if enabled else "false"
    top["Settings"] = Node("Settings", {}, 0, 0, "", children)
    top.setdefault("Triggers", Node("Triggers", {}, 0, 0))
    for trigger in top["Triggers"].children:
        order = _TRIGGERS[trigger.name].other_order
        trigger.children.sort(key=lambda child, order=order: order.index(child.name))
    out = ['<?xml version="1.0" encoding="UTF-16"?>\r\n']
    version = root.attributes.get("version", "1.2")
    out.append(f'<Task version="{version}" xmlns="{NAMESPACE}">\r\n')
    for name in _TOP_ORDER:
        if name in top:
            _write(top[name], 1, out)
    out.append("</Task>")
    return "".join(out)
