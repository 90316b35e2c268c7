#!/usr/bin/python3
"""Writes sd.txt: security descriptors as SDDL text and as the bytes that Samba makes of it, "hex sddl" a line.

Masks are in numbers: Samba 4.17 takes FA and FR for 0x1ff and 0x89, [MS-DTYP] 2.5.1.1 means the standard rights too.
make_sd.py [--check]   --check: compare with the file, write nothing.
"""
import pathlib
import sys

from samba.dcerpc import security
from samba.ndr import ndr_pack

FILE = pathlib.Path(__file__).with_name("sd.txt")
INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
TEXTS = [
    "O:BAD:P(A;OICI;0x1f01ff;;;SY)(A;OICI;0x1f01ff;;;BA)",
    "O:SYG:SYD:PAI(A;OICI;0x1f01ff;;;SY)(A;OICI;0x1f01ff;;;BA)(A;OICI;0x1200a9;;;BU)",
    "O:BAG:BAD:AI(A;OICIID;0x1f01ff;;;SY)(A;OICIID;0x1f01ff;;;BA)(A;ID;0x1301bf;;;AU)(A;OICIIOID;SDGXGWGR;;;AU)",
    f"O:{INSTALLER}G:{INSTALLER}D:P(A;CIIO;GA;;;{INSTALLER})(A;;0x1f01ff;;;SY)(A;OICIIO;GA;;;CO)",
    "O:S-1-5-21-1-2-3-1001G:DUD:(D;;WDWO;;;WD)(A;NP;CCDCLCSWRPWPDTLOCR;;;NS)",
    "O:BAG:SYD:",
    "G:SY",
    "O:SYG:SYD:P(A;;0x120089;;;LS)(A;;0x1200A9;;;S-1-15-2-1)(A;;GXGR;;;S-1-5-21-4294967295-0-7-500)",
]


def main():
    domain = security.dom_sid("S-1-5-21-0-0-0")
    lines = [f"{ndr_pack(security.descriptor.from_sddl(text, domain)).hex()} {text}\n" for text in TEXTS]
    if sys.argv[1:] == ["--check"]:
        if FILE.read_text() != "".join(lines):
            sys.exit("sd.txt is not what Samba makes: run make_sd.py and review the difference")
        return
    FILE.write_text("".join(lines))


if __name__ == "__main__":
    main()
