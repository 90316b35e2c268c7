"""The little of SPNEGO ([RFC 4178], [MS-SPNG]) that carries NTLM inside RPC's auth type 9."""

OID_SPNEGO = bytes.fromhex("06062b0601050502")
OID_NTLMSSP = bytes.fromhex("060a2b06010401823702020a")
ACCEPT_COMPLETED, ACCEPT_INCOMPLETE, REJECT = 0, 1, 2


class SpnegoError(Exception):
    """Not a token of the kind expected here."""


def _wrap(tag, content):
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def _item(data, offset=0):
    """(tag, content, offset of what follows)."""
    if offset + 2 > len(data):
        raise SpnegoError("ends too early")
    tag, length = data[offset], data[offset + 1]
    offset += 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or offset + size > len(data):
            raise SpnegoError("length of length")
        length = int.from_bytes(data[offset : offset + size], "big")
        offset += size
    if offset + length > len(data):
        raise SpnegoError("longer than the token")
    return tag, data[offset : offset + length], offset + length


def _expect(data, tag):
    found, content, _ = _item(data)
    if found != tag:
        raise SpnegoError(f"tag 0x{found:02x} where 0x{tag:02x} was expected")
    return content


def _fields(sequence):
    fields, offset = {}, 0
    while offset < len(sequence):
        tag, content, offset = _item(sequence, offset)
        fields[tag & 0x1F] = content
    return fields


def parse_init(token):
    """(list of OIDs, their DER for the mechListMIC, first mechanism's token) of a NegTokenInit."""
    content = _expect(token, 0x60)
    if not content.startswith(OID_SPNEGO):
        raise SpnegoError("not SPNEGO")
    fields = _fields(_expect(_expect(content[len(OID_SPNEGO) :], 0xA0), 0x30))
    if 0 not in fields:
        raise SpnegoError("no mechanisms")
    mechanisms, rest, offset = [], _expect(fields[0], 0x30), 0
    while offset < len(rest):
        start = offset
        _, _, offset = _item(rest, offset)
        mechanisms.append(rest[start:offset])
    return mechanisms, fields[0], _expect(fields[2], 0x04) if 2 in fields else b""


def parse_response(token):
    """(mechanism's token, mechListMIC) of a NegTokenResp; empty where absent."""
    fields = _fields(_expect(_expect(token, 0xA1), 0x30))
    return tuple(_expect(fields[n], 0x04) if n in fields else b"" for n in (2, 3))


def response(state, mechanism=None, token=b"", mic=b""):
    content = _wrap(0xA0, _wrap(0x0A, bytes([state])))
    if mechanism:
        content += _wrap(0xA1, mechanism)
    if token:
        content += _wrap(0xA2, _wrap(0x04, token))
    if mic:
        content += _wrap(0xA3, _wrap(0x04, mic))
    return _wrap(0xA1, _wrap(0x30, content))
