/* ITaskSchedulerService: encoders and decoders, one pair per method. */
#include "relay/tsch/tsch.h"

#include <string.h>

#include "common/base/cursor.h"
#include "common/base/text.h"
#include "common/base/utf16.h"
#include "relay/rpc/ndr.h"

const struct rpc_interface tsch_interface = {
    /* [MS-TSCH] 1.9 */
    .uuid = {0x49, 0x59, 0xd3, 0x86, 0xc9, 0x83, 0x44, 0x40, 0xb4, 0x24, 0xdb, 0x36, 0x32, 0x31,
             0xfd, 0x0c},
    .version_major = 1,
    .version_minor = 0,
};

#define SCH_FLAG_STATE 0x10000000U /* [MS-TSCH] 3.2.5.4.18: return pState too */

static int finish(const struct ndr_out *ndr, const char *method, struct err *err)
{
    if (ndr->bad_text)
        return err_set(err, ERR_INVALID, "%s: an argument is not UTF-8", method);
    if (!buf_ok(ndr->buf))
        return err_set(err, ERR_LIMIT, "%s: arguments of more than %zu bytes", method,
                       ndr->buf->size_max);
    return 0;
}

int tsch_encode_highest_version(struct buf *out, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    return finish(&ndr, "SchRpcHighestVersion", err);
}

int tsch_encode_register(struct buf *out, const struct tsch_register *task, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_unique_string(&ndr, task->path);
    ndr_put_string_utf16(&ndr, task->xml, task->xml_size);
    ndr_put_u32(&ndr, task->flags);
    ndr_put_unique_string(&ndr, task->sddl);
    ndr_put_u32(&ndr, (uint32_t)task->logon);
    ndr_put_u32(&ndr, 0); /* cCreds: no task ever stores a password */
    ndr_put_u32(&ndr, 0); /* pCreds, null */
    return finish(&ndr, "SchRpcRegisterTask", err);
}

int tsch_encode_retrieve(struct buf *out, const char *path, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_string(&ndr, path);
    ndr_put_string(&ndr, ""); /* lpcwszLanguagesBuffer */
    ndr_put_u32(&ndr, 0);     /* *pulNumLanguages: the server's own language */
    return finish(&ndr, "SchRpcRetrieveTask", err);
}

int tsch_encode_create_folder(struct buf *out, const char *path, const char *sddl, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_string(&ndr, path);
    ndr_put_unique_string(&ndr, sddl);
    ndr_put_u32(&ndr, 0); /* flags: MUST be zero */
    return finish(&ndr, "SchRpcCreateFolder", err);
}

int tsch_encode_set_security(struct buf *out, const char *path, const char *sddl, uint32_t flags,
                             struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_string(&ndr, path);
    ndr_put_string(&ndr, sddl);
    ndr_put_u32(&ndr, flags);
    return finish(&ndr, "SchRpcSetSecurity", err);
}

/* Methods whose arguments are a path and a number. */
static int encode_path_and_u32(struct buf *out, const char *path, uint32_t value,
                               const char *method, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_string(&ndr, path);
    ndr_put_u32(&ndr, value);
    return finish(&ndr, method, err);
}

int tsch_encode_get_security(struct buf *out, const char *path, uint32_t information,
                             struct err *err)
{
    return encode_path_and_u32(out, path, information, "SchRpcGetSecurity", err);
}

int tsch_encode_stop(struct buf *out, const char *path, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_unique_string(&ndr, path);
    ndr_put_u32(&ndr, 0); /* flags: MUST be zero */
    return finish(&ndr, "SchRpcStop", err);
}

int tsch_encode_run(struct buf *out, const char *path, uint32_t flags, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_string(&ndr, path);
    ndr_put_u32(&ndr, 0); /* cArgs */
    ndr_put_u32(&ndr, 0); /* pArgs, null */
    ndr_put_u32(&ndr, flags);
    ndr_put_u32(&ndr, 0); /* sessionId */
    ndr_put_u32(&ndr, 0); /* user, null */
    return finish(&ndr, "SchRpcRun", err);
}

int tsch_encode_delete(struct buf *out, const char *path, struct err *err)
{
    return encode_path_and_u32(out, path, 0, "SchRpcDelete", err);
}

int tsch_encode_get_last_run_info(struct buf *out, const char *path, struct err *err)
{
    struct ndr_out ndr = ndr_out_of(out);
    ndr_put_string(&ndr, path);
    return finish(&ndr, "SchRpcGetLastRunInfo", err);
}

int tsch_encode_get_task_info(struct buf *out, const char *path, struct err *err)
{
    return encode_path_and_u32(out, path, SCH_FLAG_STATE, "SchRpcGetTaskInfo", err);
}

int tsch_encode_enable_task(struct buf *out, const char *path, bool enabled, struct err *err)
{
    return encode_path_and_u32(out, path, enabled ? 1 : 0, "SchRpcEnableTask", err);
}

static int decoded(const struct cursor *c, const char *method, struct err *err)
{
    if (!cursor_ok(c))
        return err_set(err, ERR_PROTOCOL, "%s: the answer of %zu bytes makes no sense", method,
                       c->size);
    return 0;
}

/* [out] wchar_t ** : a pointer, then the string. *utf16 is NULL when the pointer is. */
static void get_pointed_string(struct cursor *c, const uint8_t **utf16, size_t *size)
{
    *utf16 = NULL;
    *size = 0;
    if (ndr_get_pointer(c))
        ndr_get_string(c, utf16, size);
}

/* A server's text for people: UTF-8, printable, cut. Broken UTF-16 becomes "". */
static void copy_text(char *to, size_t to_size, const uint8_t *utf16, size_t size)
{
    to[0] = '\0';
    struct buf utf8;
    buf_init(&utf8, 4096);
    if (utf16 != NULL && utf16_to_utf8(&utf8, utf16, size) == 0)
        (void)text_printable(to, to_size, buf_cstr(&utf8));
    buf_release(&utf8);
}

int tsch_decode_highest_version(const uint8_t *stub, size_t size, uint32_t *version,
                                uint32_t *hresult, struct err *err)
{
    struct cursor c = cursor_of(stub, size);
    uint32_t value = ndr_get_u32(&c);
    uint32_t code = ndr_get_u32(&c);
    if (decoded(&c, "SchRpcHighestVersion", err) != 0)
        return -1;
    *version = value;
    *hresult = code;
    return 0;
}

/* [MS-TSCH] 2.3.10 TASK_XML_ERROR_INFO behind its pointer. */
static void get_error_info(struct cursor *c, struct tsch_register_result *result)
{
    const uint8_t *node = NULL;
    const uint8_t *value = NULL;
    size_t node_size = 0;
    size_t value_size = 0;
    result->has_error_info = true;
    result->line = ndr_get_u32(c);
    result->column = ndr_get_u32(c);
    bool has_node = ndr_get_pointer(c);
    bool has_value = ndr_get_pointer(c);
    if (has_node)
        ndr_get_string(c, &node, &node_size);
    if (has_value)
        ndr_get_string(c, &value, &value_size);
    copy_text(result->node, sizeof result->node, node, node_size);
    copy_text(result->value, sizeof result->value, value, value_size);
}

int tsch_decode_register(const uint8_t *stub, size_t size, struct tsch_register_result *result,
                         struct err *err)
{
    struct tsch_register_result r = {0};
    struct cursor c = cursor_of(stub, size);
    const uint8_t *path = NULL;
    size_t path_size = 0;
    get_pointed_string(&c, &path, &path_size);
    if (ndr_get_pointer(&c))
        get_error_info(&c, &r);
    r.hresult = ndr_get_u32(&c);
    if (decoded(&c, "SchRpcRegisterTask", err) != 0)
        return -1;
    copy_text(r.actual_path, sizeof r.actual_path, path, path_size);
    *result = r;
    return 0;
}

int tsch_decode_retrieve(const uint8_t *stub, size_t size, const uint8_t **xml, size_t *xml_size,
                         uint32_t *hresult, struct err *err)
{
    struct cursor c = cursor_of(stub, size);
    const uint8_t *text = NULL;
    size_t text_size = 0;
    get_pointed_string(&c, &text, &text_size);
    uint32_t code = ndr_get_u32(&c);
    if (decoded(&c, "SchRpcRetrieveTask", err) != 0)
        return -1;
    *xml = text;
    *xml_size = text_size;
    *hresult = code;
    return 0;
}

int tsch_decode_get_security(const uint8_t *stub, size_t size, struct buf *sddl, uint32_t *hresult,
                             struct err *err)
{
    struct cursor c = cursor_of(stub, size);
    const uint8_t *text = NULL;
    size_t text_size = 0;
    get_pointed_string(&c, &text, &text_size);
    uint32_t code = ndr_get_u32(&c);
    if (decoded(&c, "SchRpcGetSecurity", err) != 0)
        return -1;
    if (text != NULL && utf16_to_utf8(sddl, text, text_size) != 0)
        return err_set(err, ERR_PROTOCOL, "SchRpcGetSecurity: the SDDL is not UTF-16");
    if (!buf_ok(sddl))
        return err_set(err, ERR_LIMIT, "SchRpcGetSecurity: SDDL of more than %zu bytes",
                       sddl->size_max);
    *hresult = code;
    return 0;
}

int tsch_decode_run(const uint8_t *stub, size_t size, uint8_t guid[16], uint32_t *hresult,
                    struct err *err)
{
    struct cursor c = cursor_of(stub, size);
    const uint8_t *bytes = cursor_bytes(&c, 16);
    uint32_t code = ndr_get_u32(&c);
    if (decoded(&c, "SchRpcRun", err) != 0 || bytes == NULL)
        return -1;
    memcpy(guid, bytes, 16);
    *hresult = code;
    return 0;
}

int tsch_decode_get_last_run_info(const uint8_t *stub, size_t size, struct tsch_time *last_run,
                                  uint32_t *return_code, uint32_t *hresult, struct err *err)
{
    struct cursor c = cursor_of(stub, size);
    struct tsch_time t = {0};
    t.year = ndr_get_u16(&c);
    t.month = ndr_get_u16(&c);
    t.day_of_week = ndr_get_u16(&c);
    t.day = ndr_get_u16(&c);
    t.hour = ndr_get_u16(&c);
    t.minute = ndr_get_u16(&c);
    t.second = ndr_get_u16(&c);
    t.millisecond = ndr_get_u16(&c);
    uint32_t exit_code = ndr_get_u32(&c);
    uint32_t code = ndr_get_u32(&c);
    if (decoded(&c, "SchRpcGetLastRunInfo", err) != 0)
        return -1;
    *last_run = t;
    *return_code = exit_code;
    *hresult = code;
    return 0;
}

int tsch_decode_get_task_info(const uint8_t *stub, size_t size, bool *enabled, uint32_t *state,
                              uint32_t *hresult, struct err *err)
{
    struct cursor c = cursor_of(stub, size);
    uint32_t is_enabled = ndr_get_u32(&c);
    uint32_t state_number = ndr_get_u32(&c);
    uint32_t code = ndr_get_u32(&c);
    if (decoded(&c, "SchRpcGetTaskInfo", err) != 0)
        return -1;
    *enabled = is_enabled != 0;
    *state = state_number;
    *hresult = code;
    return 0;
}

int tsch_decode_hresult(const uint8_t *stub, size_t size, uint32_t *hresult, struct err *err)
{
    struct cursor c = cursor_of(stub, size);
    uint32_t code = ndr_get_u32(&c);
    if (decoded(&c, "task scheduler", err) != 0)
        return -1;
    *hresult = code;
    return 0;
}
