#!/usr/bin/python3
"""Writes tsch.txt: NDR bytes of ITaskSchedulerService calls as impacket makes them, a line each, "name hex".

impacket fills alignment gaps with marker bytes and draws pointer ids at random. [C706] leaves both open and
[MS-TSCH] 3.2.5 wants zeroes in the gaps, so gaps are zero here and ids count up as MIDL's stubs do; nothing
else of impacket is touched.   make_tsch.py [--check]   --check: compare with the file, write nothing.
"""
import importlib.abc
import importlib.util
import pathlib
import re
import sys

FILE = pathlib.Path(__file__).with_name("tsch.txt")


class ZeroGaps(importlib.abc.SourceLoader):
    """Loads impacket's ndr module with its gap markers replaced by zero bytes."""

    def __init__(self, path):
        self.path = path

    def get_filename(self, fullname):
        return self.path

    def get_data(self, path):
        source = pathlib.Path(path).read_bytes()
        return re.sub(rb"b'\\x[0-9a-fA-F]{2}'\s*\*\s*pad", rb"b'\\x00'*pad", source)

    def path_stats(self, path):
        raise OSError  # no cached byte code of the unchanged source


def load_tsch():
    name = "impacket.dcerpc.v5.ndr"
    found = importlib.util.find_spec(name)
    spec = importlib.util.spec_from_loader(name, ZeroGaps(found.origin))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    import impacket.dcerpc.v5
    impacket.dcerpc.v5.ndr = module
    from impacket.dcerpc.v5 import tsch
    return module, tsch


class NotRandom:
    """Stands in for the random module inside of ndr: any id but 0, renumbered before it is written."""

    @staticmethod
    def randint(_low, _high):
        return 1


NDR, TSCH = load_tsch()
NDR.random = NotRandom
PATH = "\\Pusher\\00112233445566778899aabbccddeeff-1\0"
XML = '<?xml version="1.0" encoding="UTF-16"?><Task>\u00e9\U0001f4e6</Task>\0'
SDDL = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\0"


def call(cls, **fields):
    message = cls()
    for field, value in fields.items():
        message[field] = value
    renumber(message)
    return message.getData()


def renumber(message):
    """Gives every non-null pointer of the message the id that its place on the wire asks for."""
    count = 0

    def visit(item):
        nonlocal count
        for entry in getattr(item, "commonHdr", ()) + getattr(item, "structure", ()):
            value = item.fields.get(entry[0])
            if isinstance(value, NDR.NDRPOINTER):
                if value["ReferentID"] != 0:
                    value["ReferentID"] = 0x20000 + 4 * count
                    count += 1
                    visit(value)
            elif isinstance(value, NDR.NDRSTRUCT):
                visit(value)
            elif isinstance(value, NDR.NDR):
                visit(value)

    visit(message)


def golden():
    t, null, empty = TSCH, TSCH.NULL, "\0"
    return {
        "highest_version": call(t.SchRpcHighestVersion),
        "register": call(t.SchRpcRegisterTask, path=PATH, xml=XML, flags=0x12, sddl=SDDL, logonType=5, cCreds=0,
                         pCreds=null),
        "register_no_sddl": call(t.SchRpcRegisterTask, path=PATH, xml=XML, flags=1, sddl=null, logonType=4, cCreds=0,
                                 pCreds=null),
        "retrieve": call(t.SchRpcRetrieveTask, path=PATH, lpcwszLanguagesBuffer=empty, pulNumLanguages=0),
        "create_folder": call(t.SchRpcCreateFolder, path="\\Pusher\0", sddl=SDDL, flags=0),
        "create_folder_no_sddl": call(t.SchRpcCreateFolder, path="\\Pusher\0", sddl=null, flags=0),
        "set_security": call(t.SchRpcSetSecurity, path="\\Pusher\0", sddl=SDDL, flags=0x10),
        "get_security": call(t.SchRpcGetSecurity, path=PATH, securityInformation=7),
        "stop": call(t.SchRpcStop, path=PATH, flags=0),
        "run": call(t.SchRpcRun, path=PATH, cArgs=0, pArgs=null, flags=0, sessionId=0, user=null),
        "delete": call(t.SchRpcDelete, path=PATH, flags=0),
        "get_last_run_info": call(t.SchRpcGetLastRunInfo, path=PATH),
        "get_task_info": call(t.SchRpcGetTaskInfo, path=PATH, flags=t.SCH_FLAG_STATE),
        "enable_task": call(t.SchRpcEnableTask, path=PATH, enabled=1),
        "disable_task": call(t.SchRpcEnableTask, path=PATH, enabled=0),
        **responses(t, null),
    }


def responses(t, null):
    last_run = t.SchRpcGetLastRunInfoResponse()
    for field, value in zip(("wYear", "wMonth", "wDayOfWeek", "wDay", "wHour", "wMinute", "wSecond", "wMilliseconds"),
                            (2026, 11, 0, 22, 18, 5, 59, 7)):
        last_run["pLastRuntime"][field] = value
    last_run["pLastReturnCode"], last_run["ErrorCode"] = 3010, 0
    run = t.SchRpcRunResponse()
    run["pGuid"], run["ErrorCode"] = bytes(range(16)), 0
    refused = t.SchRpcRegisterTaskResponse()
    refused["pActualPath"] = null
    info = refused["pErrorInfo"]
    info["line"], info["column"], info["node"], info["value"] = 7, 21, "Priority\0", "99\0"
    refused["ErrorCode"] = 0x80041318
    for message in (last_run, run, refused):
        renumber(message)
    return {
        "highest_version_response": call(t.SchRpcHighestVersionResponse, pVersion=0x10004, ErrorCode=0),
        "register_response": call(t.SchRpcRegisterTaskResponse, pActualPath=PATH, pErrorInfo=null, ErrorCode=0),
        "register_refused_response": refused.getData(),
        "retrieve_response": call(t.SchRpcRetrieveTaskResponse, pXml=XML, ErrorCode=0),
        "retrieve_missing_response": call(t.SchRpcRetrieveTaskResponse, pXml=null, ErrorCode=0x80070002),
        "get_security_response": call(t.SchRpcGetSecurityResponse, sddl="O:BAG:SY" + SDDL, ErrorCode=0),
        "run_response": run.getData(),
        "get_last_run_info_response": last_run.getData(),
        "get_task_info_response": call(t.SchRpcGetTaskInfoResponse, pEnabled=1, pState=3, ErrorCode=0),
        "hresult_response": call(t.SchRpcCreateFolderResponse, ErrorCode=0x800700B7),
    }


def main():
    text = "".join(f"{name} {data.hex()}\n" for name, data in golden().items())
    if sys.argv[1:] == ["--check"]:
        if FILE.read_text() != text:
            sys.exit("tsch.txt is not what impacket makes: run make_tsch.py and review the difference")
        return
    FILE.write_text(text)


if __name__ == "__main__":
    main()
