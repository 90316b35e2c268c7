/* Fetching parts. */
#include "coordinator/cli/parts.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/report/fold.h"

int parts_fetch(struct session *session, const struct push_id *push, struct push_part **parts,
                uint32_t *part_count, struct err *err)
{
    struct push_part *rows = NULL;
    uint32_t count = 0;
    uint32_t first = 0;
    do {
        struct message request = {.kind = MESSAGE_PARTS_GET, .parts_get.first = first};
        struct message answer;
        push_id_text(push, request.parts_get.push.prefix);
        if (session_call(session, &request, MESSAGE_PARTS, &answer, err) != 0) {
            free(rows);
            return -1;
        }
        uint32_t got = answer.parts.row_count;
        uint32_t next = answer.parts.next;
        rows = mem_resize(rows, (size_t)count + got + 1, sizeof *rows);
        if (got > 0)
            memcpy(rows + count, answer.parts.rows, got * sizeof *rows);
        count += got;
        message_release(&answer);
        if ((next != 0 && next <= first) || count > REPORT_RELAYS_MAX) {
            free(rows);
            return err_set(err, ERR_PROTOCOL, "the coordinator's list of counts has no end");
        }
        first = next;
    } while (first != 0);
    *parts = rows;
    *part_count = count;
    return 0;
}
