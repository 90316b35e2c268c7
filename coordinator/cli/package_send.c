/* Packages at the coordinator. */
#include "coordinator/cli/package_send.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

static int call_want(struct session *session, struct message *request, uint64_t *offset,
                     struct err *err)
{
    struct message answer;
    if (session_call(session, request, MESSAGE_PACKAGE_WANT, &answer, err) != 0)
        return -1;
    *offset = answer.package_want.offset;
    message_release(&answer);
    return 0;
}

static int send_piece(struct session *session, const struct package_offer *offer, uint8_t *piece,
                      uint64_t *offset, struct err *err)
{
    uint64_t left = offer->file->bytes - *offset;
    struct message data = {.kind = MESSAGE_PACKAGE_DATA};
    memcpy(data.package_data.digest, offer->digest, LIMIT_DIGEST_BYTES);
    data.package_data.offset = *offset;
    data.package_data.data = piece;
    data.package_data.size = left < LIMIT_CHUNK_BYTES ? (size_t)left : LIMIT_CHUNK_BYTES;
    if (package_file_read(offer->file, *offset, piece, data.package_data.size, err) != 0 ||
        call_want(session, &data, offset, err) != 0)
        return -1;
    if (*offset > offer->file->bytes)
        return err_set(err, ERR_PROTOCOL, "the coordinator wants bytes past the package's end");
    return 0;
}

int package_send(struct session *session, const struct package_offer *offer, struct err *err)
{
    struct message said = {.kind = MESSAGE_PACKAGE_OFFER};
    uint64_t offset = 0;
    memcpy(said.package_offer.digest, offer->digest, LIMIT_DIGEST_BYTES);
    (void)text_copy(said.package_offer.name, sizeof said.package_offer.name, offer->name);
    said.package_offer.bytes = offer->file->bytes;
    said.package_offer.directory = offer->directory;
    if (call_want(session, &said, &offset, err) != 0)
        return -1;
    uint8_t *piece = mem_new(LIMIT_CHUNK_BYTES, 1);
    int result = 0;
    while (result == 0 && offset < offer->file->bytes)
        result = send_piece(session, offer, piece, &offset, err);
    free(piece);
    return result;
}

/* ---- finding ---- */

static bool begins_so(const struct package_row *row, const char *word)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(word);
    if (length < PACKAGE_PREFIX_MIN || length > 2 * LIMIT_DIGEST_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = row->digest[i / 2];
        char digit = digits[i % 2 == 0 ? byte >> 4 : byte & 15];
        if (word[i] != digit && !(word[i] == digit - 'a' + 'A' && digit >= 'a'))
            return false;
    }
    return true;
}

int package_choose(const struct package_row *rows, uint32_t count, const char *word,
                   struct package_row *row, struct err *err)
{
    char shown[80];
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, word) != 0 && !begins_so(&rows[i], word))
            continue;
        *row = rows[i];
        found++;
    }
    (void)text_printable(shown, sizeof shown, word);
    if (found == 0)
        return err_set(err, ERR_NOT_FOUND, "the coordinator has no package '%s'", shown);
    if (found > 1)
        return err_set(err, ERR_INVALID,
                       "%u packages are called or begin with '%s': give more digits of the digest "
                       "(pusher package list)",
                       found, shown);
    return 0;
}

int package_find(struct session *session, const char *word, struct package_row *row,
                 struct err *err)
{
    struct message request = {.kind = MESSAGE_PACKAGES_GET};
    struct message answer;
    if (session_call(session, &request, MESSAGE_PACKAGES, &answer, err) != 0)
        return -1;
    int result = package_choose(answer.packages.rows, answer.packages.row_count, word, row, err);
    message_release(&answer);
    return result;
}
