/* Pages of relays, objects, sites. */
#include "coordinator/cli/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define KEY_DIGITS_MIN 8 /* of a key that is named by its beginning */

/* A page after this number is no answer to the one before: the coordinator would let us go round
 * for ever. */
static int check_next(uint64_t asked, uint64_t next, struct err *err)
{
    if (next != 0 && next <= asked)
        return err_set(err, ERR_PROTOCOL, "the coordinator's pages don't follow each other");
    return 0;
}

int fleet_fetch(struct session *session, struct fleet *out, struct err *err)
{
    struct message request = {.kind = MESSAGE_RELAYS_GET};
    *out = (struct fleet){0};
    do {
        struct message answer;
        if (session_call(session, &request, MESSAGE_RELAYS, &answer, err) != 0)
            goto failed;
        const struct message_relays *page = &answer.relays;
        uint32_t next = page->next;
        out->rows = mem_resize(out->rows, out->count + page->row_count + 1U, sizeof *out->rows);
        if (page->row_count > 0)
            memcpy(out->rows + out->count, page->rows, page->row_count * sizeof *out->rows);
        out->count += page->row_count;
        message_release(&answer);
        if (check_next(request.relays_get.first, next, err) != 0)
            goto failed;
        request.relays_get.first = next;
    } while (request.relays_get.first != 0 && out->count <= LIMIT_RELAYS_MAX);
    return 0;
failed:
    fleet_release(out);
    return -1;
}

void fleet_release(struct fleet *fleet)
{
    free(fleet->rows);
    *fleet = (struct fleet){0};
}

static bool is_gone(const struct relay_row *row)
{
    return row->standing == RELAY_REVOKED || row->standing == RELAY_CLONED;
}

static bool names(const struct relay_row *row, const char *word)
{
    char key[KEY_TEXT_SIZE];
    key_text(row->curve_key, key);
    return strlen(word) >= KEY_DIGITS_MIN && strncmp(key, word, strlen(word)) == 0;
}

int fleet_find(const struct fleet *fleet, const char *word, const struct relay_row **out,
               struct err *err)
{
    const struct relay_row *found = NULL;
    const struct relay_row *gone = NULL;
    unsigned count = 0;
    char shown[LIMIT_SITE_NAME_SIZE];
    (void)text_printable(shown, sizeof shown, word);
    for (uint32_t i = 0; i < fleet->count; i++) {
        const struct relay_row *row = &fleet->rows[i];
        bool named = text_equal_nocase(row->name, word);
        if (named && is_gone(row)) {
            gone = row; /* the newest of them */
            continue;
        }
        if (!named && !names(row, word))
            continue;
        found = row;
        count++;
    }
    if (count > 1)
        return err_set(err, ERR_INVALID, "%s means %u relays: say more of the key", shown, count);
    *out = count == 1 ? found : gone;
    return *out != NULL ? 0 : err_set(err, ERR_NOT_FOUND, "no relay %s (pusher relay list)", shown);
}

int fleet_objects(struct session *session, enum signed_kind kind, const char *site,
                  fleet_object *each, void *context, struct err *err)
{
    struct message request = {.kind = MESSAGE_OBJECTS_GET};
    request.objects_get.kind = kind;
    (void)text_copy(request.objects_get.site, sizeof request.objects_get.site, site);
    do {
        struct message answer;
        int result = 0;
        if (session_call(session, &request, MESSAGE_OBJECTS, &answer, err) != 0)
            return -1;
        for (uint32_t i = 0; result == 0 && i < answer.objects.row_count; i++)
            result = each(context, answer.objects.rows[i].bytes, answer.objects.rows[i].size, err);
        uint64_t next = answer.objects.next;
        message_release(&answer);
        if (result != 0 || check_next(request.objects_get.first, next, err) != 0)
            return -1;
        request.objects_get.first = next;
    } while (request.objects_get.first != 0);
    return 0;
}

int fleet_put(struct session *session, const uint8_t *bytes, size_t size, struct err *err)
{
    struct message request = {.kind = MESSAGE_OBJECT};
    struct message answer;
    request.object.bytes = (uint8_t *)(uintptr_t)bytes; /* only encoded */
    request.object.size = size;
    if (session_call(session, &request, MESSAGE_OK, &answer, err) != 0)
        return -1;
    message_release(&answer);
    return 0;
}

static int take_subnets(const struct site *site, struct subnet **subnets, uint32_t *count,
                        struct err *err)
{
    *subnets = mem_new(site->subnet_count + 1U, sizeof **subnets);
    *count = 0;
    for (uint32_t i = 0; i < site->subnet_count; i++) {
        if (subnet_from_text(site->subnets[i], &(*subnets)[i], err) != 0) {
            free(*subnets);
            *subnets = NULL;
            return err_wrap(err, "site %s", site->name);
        }
        (*count)++;
    }
    return 0;
}

int fleet_site_subnets(struct session *session, const char *site, struct subnet **subnets,
                       uint32_t *count, struct err *err)
{
    struct message request = {.kind = MESSAGE_SITES_GET};
    *subnets = NULL;
    do {
        struct message answer;
        int result = 0;
        if (session_call(session, &request, MESSAGE_SITES, &answer, err) != 0)
            return -1;
        for (uint32_t i = 0; result == 0 && *subnets == NULL && i < answer.sites.row_count; i++)
            if (strcmp(answer.sites.rows[i].name, site) == 0)
                result = take_subnets(&answer.sites.rows[i], subnets, count, err);
        uint32_t next = answer.sites.next;
        message_release(&answer);
        if (result != 0 || check_next(request.sites_get.first, next, err) != 0)
            return -1;
        request.sites_get.first = next;
    } while (request.sites_get.first != 0 && *subnets == NULL);
    return *subnets != NULL ? 0 : err_set(err, ERR_NOT_FOUND, "no site %s", site);
}
