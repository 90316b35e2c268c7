/* What a hostile machine remembers: the package, the task, and what a script would have left. */
#include <string.h>

#include "relay/rpc/ndr.h"
#include "relay/tsch/tsch.h"
#include "tests/bench/light/hostile.h"

#define E_EXISTS 0x800700B7U /* HRESULT of ERROR_ALREADY_EXISTS */
#define E_NOT_FOUND 0x80070002U
#define REFERENT 0x00020000U /* of a pointer that is not null */

static bool ends_with(struct cursor name, const char *end)
{
    size_t length = strlen(end);
    if (name.size < 2 * length)
        return false;
    const uint8_t *at = name.data + name.size - 2 * length;
    for (size_t i = 0; i < length; i++)
        if (at[2 * i] != (uint8_t)end[i] || at[2 * i + 1] != 0)
            return false;
    return true;
}

bool light_machine_open(const struct light_machine *machine, struct cursor name,
                        struct cursor *content)
{
    static const char end[] = "0\r\n";
    static const char output[] = "installed\r\n";
    if (ends_with(name, ".end") && machine->has_task)
        *content = cursor_of(end, sizeof end - 1);
    else if (ends_with(name, ".out") && machine->has_task)
        *content = cursor_of(output, sizeof output - 1);
    else if (ends_with(name, ".exe") && machine->has_package)
        *content = cursor_of(machine->package.data, machine->package.size);
    else
        return false;
    return true;
}

void light_machine_write(struct light_machine *machine, uint64_t offset, const uint8_t *bytes,
                         size_t size)
{
    if (offset == 0)
        buf_reset(&machine->incoming);
    if (offset == machine->incoming.size)
        buf_bytes(&machine->incoming, bytes, size);
}

void light_machine_renamed(struct light_machine *machine)
{
    buf_reset(&machine->package);
    buf_bytes(&machine->package, machine->incoming.data, machine->incoming.size);
    machine->has_package = buf_ok(&machine->package);
}

bool light_machine_has(const struct light_machine *machine, const uint8_t *path, size_t path_size)
{
    return machine->has_task && path_size == machine->task_path.size &&
           memcmp(path, machine->task_path.data, path_size) == 0;
}

static void register_task(struct light_machine *machine, struct cursor *request,
                          struct ndr_out *ndr)
{
    const uint8_t *path = NULL;
    const uint8_t *xml = NULL;
    size_t path_size = 0;
    size_t size = 0;
    if (ndr_get_pointer(request))
        ndr_get_string(request, &path, &path_size);
    ndr_get_string(request, &xml, &size);
    bool good = cursor_ok(request) && path_size > 0;
    bool there = good && light_machine_has(machine, path, path_size);
    if (good && !there) {
        buf_reset(&machine->task_path);
        buf_bytes(&machine->task_path, path, path_size);
        buf_reset(&machine->task_xml);
        buf_bytes(&machine->task_xml, xml, size);
        machine->has_task = true;
        machine->task_disabled = false;
    }
    ndr_put_u32(ndr, 0); /* pActualPath */
    ndr_put_u32(ndr, 0); /* pErrorInfo */
    ndr_put_u32(ndr, there || machine->plan.exists ? E_EXISTS : 0);
}

static void retrieve_task(const struct light_machine *machine, bool there, struct ndr_out *ndr)
{
    if (!there) {
        ndr_put_u32(ndr, 0);
        ndr_put_u32(ndr, E_NOT_FOUND);
        return;
    }
    ndr_put_u32(ndr, REFERENT);
    ndr_put_string_utf16(ndr, machine->task_xml.data, machine->task_xml.size);
    ndr_put_u32(ndr, 0);
}

static void put_last_run(bool there, struct ndr_out *ndr)
{
    static const uint32_t words[] = {2026 | 1U << 16, 4 | 1U << 16, 0, 0}; /* SYSTEMTIME */
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        ndr_put_u32(ndr, words[i]);
    ndr_put_u32(ndr, 0); /* it ended well */
    ndr_put_u32(ndr, there ? 0 : E_NOT_FOUND);
}

bool light_machine_call(struct light_machine *machine, uint16_t opnum, struct cursor *request,
                        struct buf *stub)
{
    struct ndr_out ndr = ndr_out_of(stub);
    struct cursor argument = *request;
    const uint8_t *path = NULL;
    size_t path_size = 0;
    if (opnum == TSCH_REGISTER_TASK) {
        register_task(machine, request, &ndr);
        return true;
    }
    ndr_get_string(&argument, &path, &path_size);
    bool there = cursor_ok(&argument) && light_machine_has(machine, path, path_size);
    switch (opnum) {
    case TSCH_RETRIEVE_TASK:
        retrieve_task(machine, there, &ndr);
        return true;
    case TSCH_GET_TASK_INFO:
        ndr_put_u32(&ndr, machine->task_disabled ? 0 : 1);
        ndr_put_u32(&ndr, machine->task_disabled ? TSCH_STATE_DISABLED : TSCH_STATE_READY);
        ndr_put_u32(&ndr, there ? 0 : E_NOT_FOUND);
        return true;
    case TSCH_GET_LAST_RUN_INFO:
        put_last_run(there, &ndr);
        return true;
    case TSCH_ENABLE_TASK:
        machine->task_disabled |= there; /* nobody enables one here */
        ndr_put_u32(&ndr, there ? 0 : E_NOT_FOUND);
        return true;
    default:
        return false;
    }
}
