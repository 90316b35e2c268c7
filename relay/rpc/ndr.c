/* NDR32: strings and pointers. */
#include "relay/rpc/ndr.h"

#include "common/base/utf16.h"

#define FIRST_REFERENT                                                                             \
    0x00020000U /* any non-zero id does; this is what MIDL's stubs begin with                      \
                 */
#define REFERENT_STEP 4

struct ndr_out ndr_out_of(struct buf *buf)
{
    struct ndr_out ndr = {.buf = buf};
    return ndr;
}

void ndr_put_u32(struct ndr_out *ndr, uint32_t value)
{
    buf_align(ndr->buf, 0, 4);
    buf_u32le(ndr->buf, value);
}

/* [C706] 14.3.4.2: maximum count, offset, actual count; the last is patched with the first when the
 * text is there. Returns where the maximum count stands. */
static size_t open_string(struct ndr_out *ndr)
{
    buf_align(ndr->buf, 0, 4);
    size_t at = ndr->buf->size;
    buf_zero(ndr->buf, 12);
    return at;
}

static void close_string(struct ndr_out *ndr, size_t at)
{
    buf_u16le(ndr->buf, 0); /* the NUL is counted */
    if (!buf_ok(ndr->buf))
        return;
    uint32_t count = (uint32_t)((ndr->buf->size - at - 12) / 2);
    buf_patch_u32le(ndr->buf, at, count);
    buf_patch_u32le(ndr->buf, at + 8, count);
}

void ndr_put_string(struct ndr_out *ndr, const char *text)
{
    size_t at = open_string(ndr);
    if (utf16_from_utf8(ndr->buf, text) != 0)
        ndr->bad_text = true;
    close_string(ndr, at);
}

void ndr_put_string_utf16(struct ndr_out *ndr, const uint8_t *utf16, size_t size)
{
    size_t at = open_string(ndr);
    buf_bytes(ndr->buf, utf16, size);
    close_string(ndr, at);
}

void ndr_put_unique_string(struct ndr_out *ndr, const char *text)
{
    if (text == NULL) {
        ndr_put_u32(ndr, 0);
        return;
    }
    ndr_put_u32(ndr, FIRST_REFERENT + REFERENT_STEP * ndr->referent_count);
    ndr->referent_count++;
    ndr_put_string(ndr, text);
}

uint32_t ndr_get_u32(struct cursor *c)
{
    cursor_align(c, 4);
    return cursor_u32le(c);
}

uint16_t ndr_get_u16(struct cursor *c)
{
    cursor_align(c, 2);
    return cursor_u16le(c);
}

bool ndr_get_pointer(struct cursor *c)
{
    return ndr_get_u32(c) != 0;
}

void ndr_get_string(struct cursor *c, const uint8_t **utf16, size_t *size)
{
    *utf16 = NULL;
    *size = 0;
    uint32_t max_count = ndr_get_u32(c);
    uint32_t offset = ndr_get_u32(c);
    uint32_t count = ndr_get_u32(c);
    if (offset != 0 || count > max_count || count > cursor_left(c) / 2) {
        cursor_fail(c);
        return;
    }
    const uint8_t *bytes = cursor_bytes(c, (size_t)count * 2);
    if (bytes == NULL)
        return;
    size_t length = 0;
    while (length < count && (bytes[2 * length] | bytes[2 * length + 1]) != 0)
        length++;
    /* The one NUL is the last character; a server may leave it out. */
    if (length + 1 < count) {
        cursor_fail(c);
        return;
    }
    *utf16 = bytes;
    *size = 2 * length;
}
