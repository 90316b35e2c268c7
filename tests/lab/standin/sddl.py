"""Security descriptors in string form ([MS-DTYP] 2.5.1), as far as tasks and folders need them."""

import re

READ, WRITE, EXECUTE, DELETE = 0x120089, 0x120116, 0x1200A0, 0x10000
ALL = 0x1F01FF
GENERIC = {"GA": ALL, "GR": READ, "GW": WRITE, "GX": EXECUTE, "FA": ALL, "FR": READ, "FW": WRITE, "FX": EXECUTE}
SINGLE = {
    "RC": 0x20000, "SD": 0x10000, "WD": 0x40000, "WO": 0x80000,
    "CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80, "CR": 0x100,
}

_PART = re.compile(r"([OGDS]):")
_ACE = re.compile(r"\(([^()]*)\)")
_SID = re.compile(r"[A-Z]{2}|S-1-\d+(-\d+)+")


class SddlError(ValueError):
    """Not a security descriptor string."""


def _mask(text):
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", text):
        return int(text, 16)
    if not text or len(text) % 2:
        raise SddlError(f"rights {text!r}")
    mask = 0
    for index in range(0, len(text), 2):
        code = text[index : index + 2]
        if code not in GENERIC and code not in SINGLE:
            raise SddlError(f"right {code!r}")
        mask |= GENERIC.get(code, 0) | SINGLE.get(code, 0)
    return mask


def parse(text):
    """{owner, group, dacl_flags, dacl: [(type, flags, mask, sid)] or None}."""
    outside = _ACE.sub(lambda match: "." * len(match.group()), text)
    starts = [(match.group(1), match.start(), match.end()) for match in _PART.finditer(outside)]
    if not starts or starts[0][1] != 0:
        raise SddlError("no part")
    result = {"owner": None, "group": None, "dacl_flags": "", "dacl": None}
    seen = set()
    for index, (letter, _, begin) in enumerate(starts):
        end = starts[index + 1][1] if index + 1 < len(starts) else len(text)
        body = text[begin:end]
        if letter in seen:
            raise SddlError(f"part {letter} twice")
        seen.add(letter)
        if letter in "OG":
            if not _SID.fullmatch(body):
                raise SddlError(f"identity {body!r}")
            result["owner" if letter == "O" else "group"] = body
        elif letter == "D":
            flags, _, _ = body.partition("(")
            if not re.fullmatch(r"(P|AI|AR|NO_ACCESS_CONTROL)*", flags):
                raise SddlError(f"flags {flags!r}")
            result["dacl_flags"] = flags
            result["dacl"] = _aces(body[len(flags) :])
    return result


def _aces(text):
    aces, at = [], 0
    while at < len(text):
        match = _ACE.match(text, at)
        if not match:
            raise SddlError(f"entry at {text[at:]!r}")
        fields = match.group(1).split(";")
        if len(fields) < 6 or fields[0] not in ("A", "D") or not _SID.fullmatch(fields[5]):
            raise SddlError(f"entry {match.group()!r}")
        if not re.fullmatch(r"(OI|CI|IO|NP|ID)*", fields[1]):
            raise SddlError(f"inheritance {fields[1]!r}")
        aces.append((fields[0], fields[1], _mask(fields[2]), fields[5]))
        at = match.end()
    return aces


def _rights(mask):
    return {ALL: "FA", READ: "FR", WRITE: "FW", EXECUTE: "FX"}.get(mask, f"0x{mask:x}")


def write(descriptor, information=0xFFFFFFFF):
    """The string with the parts SECURITY_INFORMATION asks for (owner 1, group 2, DACL 4)."""
    text = ""
    if information & 1 and descriptor["owner"]:
        text += f"O:{descriptor['owner']}"
    if information & 2 and descriptor["group"]:
        text += f"G:{descriptor['group']}"
    if information & 4 and descriptor["dacl"] is not None:
        text += f"D:{descriptor['dacl_flags']}"
        text += "".join(f"({kind};{flags};{_rights(mask)};;;{sid})" for kind, flags, mask, sid in descriptor["dacl"])
    return text


def allowed(descriptor, sids):
    """The rights a caller with these identities has; deny entries first take away what they name."""
    granted, denied = 0, 0
    for kind, flags, mask, sid in descriptor["dacl"] or []:
        if "IO" in re.findall("..", flags) or sid not in sids:
            continue
        if kind == "D":
            denied |= mask & ~granted
        else:
            granted |= mask & ~denied
    return granted
