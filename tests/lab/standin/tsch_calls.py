"""ITaskSchedulerService ([MS-TSCH] 3.2.5.4): one method per call, arguments and results as impacket's NDR classes.

Impacket's classes were written by others against Windows, so a misreading of the interface on the client's side shows
here. HRESULTs are those of the specification; where it leaves things open, what Windows is seen to answer.
"""

import time
import uuid
from datetime import datetime

from impacket.dcerpc.v5 import tsch
from impacket.dcerpc.v5.dtypes import NULL
from impacket.dcerpc.v5.ndr import NDRPOINTER

from . import rpcserver, sddl, taskrun, taskxml

S_OK, S_FALSE = 0, 1
E_INVALIDARG = 0x80070057
E_ACCESSDENIED = 0x80070005
FILE_NOT_FOUND = 0x80070002
PATH_NOT_FOUND = 0x80070003
INVALID_NAME = 0x8007007B
ALREADY_EXISTS = 0x800700B7
DIR_NOT_EMPTY = 0x80070091
INVALID_SDDL = 0x8007053A  # ERROR_INVALID_SECURITY_DESCR
HAS_NOT_RUN = taskrun.HAS_NOT_RUN
NONE_MAPPED = 0x80070534  # no such account
TASK_NOT_RUNNING = 0x8004130B
TASK_DISABLED = 0x80041326
START_ON_DEMAND = 0x80041328
HIGHEST_VERSION = 0x00010006

VALIDATE_ONLY, CREATE, UPDATE, DISABLE, NO_PRINCIPAL_ACE, IGNORE_REGISTRATION = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
FLAG_FOLDER, FLAG_TASK = 0x20000000, 0x40000000
# [MS-TSCH] 2.3.9, as far as the kinds of principal allow them; 0 leaves it to the definition
LOGON_PASSWORD, LOGON_S4U, LOGON_TOKEN, LOGON_GROUP, LOGON_SERVICE, LOGON_TOKEN_OR_PASSWORD = 1, 2, 3, 4, 5, 6
SERVICE_ACCOUNTS = {
    "S-1-5-18": "SY", "SYSTEM": "SY", "LOCALSYSTEM": "SY", "NT AUTHORITY\\SYSTEM": "SY",
    "S-1-5-19": "LS", "LOCAL SERVICE": "LS", "NT AUTHORITY\\LOCAL SERVICE": "LS",
    "S-1-5-20": "NS", "NETWORK SERVICE": "NS", "NT AUTHORITY\\NETWORK SERVICE": "NS",
}
STATE_DISABLED, STATE_READY, STATE_RUNNING = 1, 3, 4

_FORBIDDEN = set('<>:"|?*/')


class Failed(Exception):
    """A call that ends with a failure code and empty results."""

    def __init__(self, hresult, xml_error=None):
        super().__init__(f"0x{hresult:08X}")
        self.hresult = hresult
        self.xml_error = xml_error


def _text(value):
    """An NDR string without its NUL; None for a NULL pointer."""
    if value is None or value == NULL or value == b"":
        return None
    return value[:-1] if value.endswith("\0") else value


def check_path(path, root_allowed=False):
    """[MS-TSCH] 2.3.11: absolute, backslashes, no empty part."""
    if path is None:
        raise Failed(E_INVALIDARG)
    if path == "\\":
        if root_allowed:
            return path
        raise Failed(E_INVALIDARG)
    parts = path.split("\\")
    if parts[0] or len(path) > 260 or any(
        not part or part in (".", "..") or _FORBIDDEN & set(part) or any(ord(c) < 32 for c in part)
        for part in parts[1:]
    ):
        raise Failed(INVALID_NAME)
    return path


def parent(path):
    return path.rpartition("\\")[0] or "\\"


class Calls:
    """The interface of one target, for one connection."""

    def __init__(self, store, runner, target, client, known_users=frozenset()):
        self.store, self.runner, self.target, self.client = store, runner, target, client
        self.account = None
        self.known_users = known_users
        self.refuse = None  # an HRESULT with which every registration fails
        self.log = {}

    # -- dispatch -------------------------------------------------------------------------------------------------

    def dispatch(self, opnum, stub, account, facts):
        if opnum not in tsch.OPNUMS:
            raise rpcserver.RpcFault(rpcserver.FAULT_OP_RANGE)
        request_class, response_class = tsch.OPNUMS[opnum]
        try:
            request = request_class(stub) if request_class.structure else request_class()
        except Exception as error:  # the decoder raises whatever the bytes make it raise
            raise rpcserver.RpcFault(rpcserver.FAULT_BAD_STUB) from error
        self.account = account
        self.log = {"path": None, "flags": None}
        response = response_class()
        name = request_class.__name__
        try:
            response["ErrorCode"] = getattr(self, name)(request, response)
        except Failed as failed:
            response = self._failure(response_class, failed.hresult, failed.xml_error)
        except sddl.SddlError:
            response = self._failure(response_class, INVALID_SDDL)
        finally:
            self.store.add_call(
                self.target, self.client, account["user"], name, self.log["path"], self.log["flags"],
                response["ErrorCode"], {key: value for key, value in facts.items() if key != "refused"},
            )
        return response.getData()

    @staticmethod
    def _failure(response_class, hresult, xml_error=None):
        """The code, and NULL for every result but TASK_XML_ERROR_INFO."""
        response = response_class()
        for name, kind in response_class.structure:
            if issubclass(kind, NDRPOINTER) and not (name == "pErrorInfo" and xml_error):
                response[name] = NULL
        response["ErrorCode"] = hresult
        if xml_error:
            info = response["pErrorInfo"]
            info["line"], info["column"] = xml_error.line, xml_error.column
            info["node"], info["value"] = xml_error.node + "\0", xml_error.value + "\0"
        return response

    # -- access ---------------------------------------------------------------------------------------------------

    def _sids(self):
        sids = {"AU", "WD", "IU", "BU", "S-1-5-11", "S-1-1-0", "S-1-5-32-545"}
        return sids | {"BA", "S-1-5-32-544"} if self.account["admin"] else sids

    def _owner(self):
        """Administrators own what an administrator makes, others own theirs themselves."""
        return "BA" if self.account["admin"] else f"S-1-5-21-1-2-3-{self.account['uid']}"

    def _require(self, descriptor, mask):
        parsed = sddl.parse(descriptor)
        owns = parsed["owner"] == self._owner()
        granted = sddl.allowed(parsed, self._sids()) | (0x60000 if owns else 0)
        if granted & mask != mask:
            raise Failed(E_ACCESSDENIED)

    def _descriptor(self, text, container, principal=None, inherited=None):
        """The descriptor of a new object, from the client's SDDL, or with None the parent's DACL and an owner of its
        own."""
        given = sddl.parse(inherited if text is None else text)
        if text is None:
            given["owner"] = given["group"] = None
        dacl = given["dacl"] if given["dacl"] is not None else []
        if not container:
            dacl = [(kind, "", mask, sid) for kind, flags, mask, sid in dacl if "IO" not in flags]
            if principal and not any(sid == principal for _, _, _, sid in dacl):
                dacl.append(("A", "", sddl.READ, principal))
        return sddl.write(
            {"owner": given["owner"] or self._owner(), "group": given["group"] or "BA",
             "dacl_flags": given["dacl_flags"], "dacl": dacl}
        )

    def _find_task(self, path, mask):
        check_path(path)
        task = self.store.task(self.target, path)
        if task is None:
            raise Failed(FILE_NOT_FOUND if self.store.folder(self.target, parent(path)) else PATH_NOT_FOUND)
        self._require(task["sddl"], mask)
        return task

    def _note(self, path, flags=None):
        self.log = {"path": path, "flags": flags}
        return path

    # -- calls ----------------------------------------------------------------------------------------------------

    def SchRpcHighestVersion(self, _request, response):
        response["pVersion"] = HIGHEST_VERSION
        return S_OK

    def SchRpcRegisterTask(self, request, response):
        path, xml, flags = _text(request["path"]), _text(request["xml"]), request["flags"]
        self._note(path, flags)
        response["pErrorInfo"] = NULL
        if request["logonType"] > 6:
            raise Failed(E_INVALIDARG)
        if xml is None:
            raise Failed(E_INVALIDARG)
        try:
            definition = taskxml.parse(xml)
        except taskxml.TaskXmlError as error:
            raise Failed(error.hresult, error) from error
        if path is None:
            path = definition.value("RegistrationInfo/URI") or "\\" + str(uuid.uuid4())
        check_path(path)
        text = _text(request["sddl"])
        if text is not None:
            sddl.parse(text)
        if flags & VALIDATE_ONLY:
            response["pActualPath"] = NULL
            return S_OK
        if self.refuse is not None:
            raise Failed(self.refuse)
        if not flags & (CREATE | UPDATE):
            raise Failed(E_INVALIDARG)
        old = self.store.task(self.target, path)
        if old is None and not flags & CREATE:
            raise Failed(FILE_NOT_FOUND)
        folder = self._folder_for(path)
        if self.store.folder(self.target, path) is not None:
            raise Failed(ALREADY_EXISTS)
        if old is not None:
            if not flags & UPDATE:
                raise Failed(ALREADY_EXISTS)
            self._require(old["sddl"], sddl.WRITE)
        self._check_principal(definition, request["logonType"])
        principal = None if flags & NO_PRINCIPAL_ACE else self._principal(definition)
        self._store_task(path, old, folder, definition, request, (xml, text, principal))
        response["pActualPath"] = path + "\0"
        return S_OK

    def _folder_for(self, path):
        """The descriptor of the task's folder, made on the way if need be; the caller must be allowed to add to it."""
        missing, folder = [], parent(path)
        while self.store.folder(self.target, folder) is None:
            missing.append(folder)
            folder = parent(folder)
        descriptor = self.store.folder(self.target, folder)
        self._require(descriptor, 0x2 if not missing else 0x4)
        for made in reversed(missing):
            self.store.set_folder(self.target, made, descriptor)
        return descriptor

    def _store_task(self, path, old, folder, definition, request, sent):
        xml, text, principal = sent
        flags = request["flags"]
        enabled = taskxml.is_true(definition.value("Settings/Enabled"), True) and not flags & DISABLE
        self.store.set_task(
            self.target,
            path,
            sddl=old["sddl"] if old and text is None else self._descriptor(text, False, principal, folder),
            xml=taskxml.serialize(taskxml.parse(xml), path, enabled),
            sent=xml,
            logon_type=request["logonType"],
            enabled=int(enabled),
            registered=time.time() + self.runner.offsets.get(self.target, 0),
            registered_by=self.account["user"],
            client=self.client,
            last_run=old["last_run"] if old else None,
            last_result=old["last_result"] if old else None,
            running=old["running"] if old else None,
        )
        self.runner.arm(self.target, path)
        triggers = definition.find("Triggers")
        at_registration = any(t.name == "RegistrationTrigger" for t in (triggers.children if triggers else []))
        if at_registration and enabled and not flags & IGNORE_REGISTRATION:
            self.runner.start(self.target, path, "registration")

    def _check_principal(self, definition, logon_type):
        """The account must exist, suit the logon type, and be the caller's own unless an administrator asks."""
        user = definition.value("Principals/Principal/UserId")
        group = definition.value("Principals/Principal/GroupId")
        named = (user or "").rpartition("\\")[2].lower()
        if group is not None:
            allowed = {0, LOGON_GROUP}
        elif user is None or user.upper() in SERVICE_ACCOUNTS:
            allowed = {0, LOGON_SERVICE} if user else {0, LOGON_SERVICE, LOGON_TOKEN, LOGON_S4U}
        elif not user.upper().startswith("S-1-5-21-") and named not in self.known_users:
            raise Failed(NONE_MAPPED)
        else:
            allowed = {0, LOGON_PASSWORD, LOGON_S4U, LOGON_TOKEN, LOGON_TOKEN_OR_PASSWORD}
        if logon_type not in allowed:
            raise Failed(E_INVALIDARG)
        if not self.account["admin"] and (group or (user and named != self.account["user"].lower())):
            raise Failed(E_ACCESSDENIED)

    @staticmethod
    def _principal(definition):
        return SERVICE_ACCOUNTS.get((definition.value("Principals/Principal/UserId") or "").upper())

    def SchRpcRetrieveTask(self, request, response):
        task = self._find_task(self._note(_text(request["path"])), sddl.READ)
        response["pXml"] = task["xml"] + "\0"
        return S_OK

    def SchRpcCreateFolder(self, request, _response):
        path, flags = _text(request["path"]), request["flags"]
        self._note(path, flags)
        if flags:
            raise Failed(E_INVALIDARG)
        check_path(path)
        text = _text(request["sddl"])
        if text is not None:
            sddl.parse(text)
        if self.store.folder(self.target, path) is not None or self.store.task(self.target, path) is not None:
            raise Failed(ALREADY_EXISTS)
        missing, folder = [path], parent(path)
        while self.store.folder(self.target, folder) is None:
            missing.append(folder)
            folder = parent(folder)
        above = self.store.folder(self.target, folder)
        self._require(above, 0x4)
        for made in reversed(missing):
            self.store.set_folder(self.target, made, self._descriptor(text, True, inherited=above))
        return S_OK

    def _object(self, path):
        """(kind, SDDL) of a task or folder."""
        check_path(path, root_allowed=True)
        task = self.store.task(self.target, path)
        if task is not None:
            return "task", task["sddl"]
        folder = self.store.folder(self.target, path)
        if folder is not None:
            return "folder", folder
        raise Failed(FILE_NOT_FOUND if self.store.folder(self.target, parent(path)) else PATH_NOT_FOUND)

    def SchRpcSetSecurity(self, request, _response):
        path, flags = _text(request["path"]), request["flags"]
        self._note(path, flags)
        if flags & ~(FLAG_FOLDER | FLAG_TASK | NO_PRINCIPAL_ACE):
            raise Failed(E_INVALIDARG)
        text = _text(request["sddl"])
        if text is None:
            raise Failed(E_INVALIDARG)
        kind, old = self._object(path)
        self._require(old, 0x40000)
        given, before = sddl.parse(text), sddl.parse(old)
        given["owner"] = given["owner"] or before["owner"]
        given["group"] = given["group"] or before["group"]
        new = self._descriptor(sddl.write(given), kind == "folder")
        if kind == "task":
            self.store.change_task(self.target, path, sddl=new)
        else:
            self.store.set_folder(self.target, path, new)
        return S_OK

    def SchRpcGetSecurity(self, request, response):
        path = self._note(_text(request["path"]), request["securityInformation"])
        _, descriptor = self._object(path)
        self._require(descriptor, 0x20000)
        response["sddl"] = sddl.write(sddl.parse(descriptor), request["securityInformation"]) + "\0"
        return S_OK

    def _enumerate(self, request, response, names):
        start, wanted = request["startIndex"], min(request["cRequested"], 1000)
        part = names[start : start + wanted]
        for name in part:
            item = tsch.TASK_NAMES()
            item["Data"] = name + "\0"
            response["pNames"].append(item)
        response["pcNames"] = len(part)
        more = start + len(part) < len(names)
        response["startIndex"] = start + len(part) if more else 0
        if not part:
            response["pNames"] = NULL
        return S_FALSE if more else S_OK

    def _folder(self, path):
        check_path(path, root_allowed=True)
        descriptor = self.store.folder(self.target, path)
        if descriptor is None:
            raise Failed(PATH_NOT_FOUND if self.store.folder(self.target, parent(path)) is None else FILE_NOT_FOUND)
        self._require(descriptor, 0x1)
        return path

    def SchRpcEnumFolders(self, request, response):
        path = self._folder(self._note(_text(request["path"]), request["flags"]))
        return self._enumerate(request, response, self.store.folders_in(self.target, path))

    def SchRpcEnumTasks(self, request, response):
        path = self._folder(self._note(_text(request["path"]), request["flags"]))
        names = []
        for name in self.store.tasks_in(self.target, path):
            task = self.store.task(self.target, path.rstrip("\\") + "\\" + name)
            hidden = taskxml.is_true(taskxml.parse(task["sent"]).value("Settings/Hidden"), False)
            if request["flags"] & tsch.TASK_ENUM_HIDDEN or not hidden:
                names.append(name)
        return self._enumerate(request, response, names)

    def SchRpcEnumInstances(self, request, response):
        path = self._note(_text(request["path"]), request["flags"])
        if path is not None:
            path = self._find_task(path, sddl.READ)["path"]
        found = self.runner.instances(self.target, path)
        for guid, _ in found:
            item = tsch.GUID()
            item["Data"] = uuid.UUID(guid).bytes_le
            response["pGuids"].append(item)
        response["pcGuids"] = len(found)
        if not found:
            response["pGuids"] = NULL
        return S_OK

    def _instance(self, request):
        guid = str(uuid.UUID(bytes_le=bytes(request["guid"])))
        for found, path in self.runner.instances(self.target):
            if found == guid:
                return guid, self.store.task(self.target, path)
        raise Failed(TASK_NOT_RUNNING)

    def SchRpcGetInstanceInfo(self, request, response):
        _, task = self._instance(request)
        self._require(task["sddl"], sddl.READ)
        self._note(task["path"])
        response["pPath"] = task["path"] + "\0"
        response["pState"] = STATE_RUNNING
        response["pCurrentAction"] = "\0"
        response["pInfo"] = NULL
        response["pGroupInstances"] = NULL
        response["pEnginePID"] = 4242
        return S_OK

    def SchRpcStopInstance(self, request, _response):
        if request["flags"]:
            raise Failed(E_INVALIDARG)
        guid, task = self._instance(request)
        self._note(task["path"])
        self._require(task["sddl"], sddl.EXECUTE)
        self.runner.end(guid, taskrun.TERMINATED, stopped=True)
        return S_OK

    def SchRpcStop(self, request, _response):
        path = self._note(_text(request["path"]), request["flags"])
        if request["flags"]:
            raise Failed(E_INVALIDARG)
        task = self._find_task(path, sddl.EXECUTE)
        return S_OK if self.runner.stop(self.target, task["path"]) else S_FALSE

    def SchRpcRun(self, request, response):
        task = self._find_task(self._note(_text(request["path"]), request["flags"]), sddl.EXECUTE)
        definition = taskxml.parse(task["sent"])
        if not task["enabled"]:
            raise Failed(TASK_DISABLED)
        if not taskxml.is_true(definition.value("Settings/AllowStartOnDemand"), True):
            raise Failed(START_ON_DEMAND)
        guid = self.runner.start(self.target, task["path"], "run")
        response["pGuid"] = uuid.UUID(guid).bytes_le if guid else bytes(16)
        return S_OK

    def SchRpcDelete(self, request, _response):
        path = self._note(_text(request["path"]), request["flags"])
        if request["flags"]:
            raise Failed(E_INVALIDARG)
        check_path(path)
        kind, descriptor = self._object(path)
        self._require(descriptor, 0x10000)
        if kind == "task":
            task = self.store.task(self.target, path)
            self.runner.forget(self.target, task["path"])
            self.store.delete_task(self.target, path)
        else:
            if self.store.tasks_in(self.target, path) or self.store.folders_in(self.target, path):
                raise Failed(DIR_NOT_EMPTY)
            self.store.delete_folder(self.target, path)
        return S_OK

    def SchRpcRename(self, request, _response):
        self._note(_text(request["path"]), request["flags"])
        raise Failed(0x80004001)  # E_NOTIMPL, as Windows answers

    def SchRpcScheduledRuntimes(self, request, response):
        task = self._find_task(self._note(_text(request["path"]), request["flags"]), sddl.READ)
        if request["flags"]:
            raise Failed(E_INVALIDARG)
        due = self.runner.next_start(self.target, task["path"])
        if due is not None and request["cRequested"]:
            response["pRuntimes"].append(system_time(due, self.runner.zone(self.target)))
            response["pcRuntimes"] = 1
        else:
            response["pRuntimes"] = NULL
            response["pcRuntimes"] = 0
        return S_OK

    def SchRpcGetLastRunInfo(self, request, response):
        task = self._find_task(self._note(_text(request["path"])), sddl.READ)
        if task["last_run"] is None:
            return HAS_NOT_RUN
        response["pLastRuntime"] = system_time(task["last_run"], self.runner.zone(self.target))
        response["pLastReturnCode"] = task["last_result"] or 0
        return S_OK

    def SchRpcGetTaskInfo(self, request, response):
        task = self._find_task(self._note(_text(request["path"]), request["flags"]), sddl.READ)
        response["pEnabled"] = task["enabled"]
        if request["flags"] & tsch.SCH_FLAG_STATE:
            response["pState"] = (
                STATE_RUNNING if task["running"] else STATE_READY if task["enabled"] else STATE_DISABLED
            )
        return S_OK

    def SchRpcGetNumberOfMissedRuns(self, request, response):
        self._find_task(self._note(_text(request["path"])), sddl.READ)
        response["pNumberOfMissedRuns"] = 0
        return S_OK

    def SchRpcEnableTask(self, request, _response):
        enabled = int(bool(request["enabled"]))
        task = self._find_task(self._note(_text(request["path"]), request["enabled"]), sddl.WRITE)
        xml = taskxml.serialize(taskxml.parse(task["sent"]), task["path"], enabled)
        self.store.change_task(self.target, task["path"], enabled=enabled, xml=xml)
        self.runner.arm(self.target, task["path"])
        return S_OK


def system_time(seconds, zone):
    """SYSTEMTIME ([MS-DTYP] 2.3.13) in the target's local time."""
    moment = datetime.fromtimestamp(seconds, zone)
    value = tsch.SYSTEMTIME()
    value["wYear"], value["wMonth"], value["wDay"] = moment.year, moment.month, moment.day
    value["wDayOfWeek"] = moment.isoweekday() % 7
    value["wHour"], value["wMinute"], value["wSecond"] = moment.hour, moment.minute, moment.second
    value["wMilliseconds"] = moment.microsecond // 1000
    return value
