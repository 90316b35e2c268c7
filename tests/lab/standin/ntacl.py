"""Windows security descriptors as smbd's acl_xattr keeps them on the drives, read and written without smbd."""

import os

from samba.dcerpc import security, xattr
from samba.ndr import ndr_pack, ndr_unpack

ATTRIBUTE = "security.NTACL"
_NO_DOMAIN = security.dom_sid("S-1-5-21-1-2-3")


def write(path, sddl):
    descriptor = security.descriptor.from_sddl(sddl, _NO_DOMAIN)
    acl = xattr.NTACL()
    acl.version = 1
    acl.info = descriptor
    os.setxattr(path, ATTRIBUTE, ndr_pack(acl))


def read(path):
    """The stored descriptor as a dict {owner, protected, aces: [{sid, type, flags, mask}], sddl}; None if none is."""
    try:
        blob = os.getxattr(path, ATTRIBUTE)
    except OSError:
        return None
    acl = ndr_unpack(xattr.NTACL, blob)
    info = acl.info if isinstance(acl.info, security.descriptor) else acl.info.sd
    aces = info.dacl.aces if info.dacl else []
    return {
        "owner": str(info.owner_sid) if info.owner_sid else None,
        "protected": bool(info.type & security.SEC_DESC_DACL_PROTECTED),
        "aces": [
            {"sid": str(ace.trustee), "type": ace.type, "flags": ace.flags, "mask": ace.access_mask} for ace in aces
        ],
        "sddl": info.as_sddl(_NO_DOMAIN),
    }
