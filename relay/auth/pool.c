/* The pool: a short list, since an organisation has a handful of push accounts. */
#include "relay/auth/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/hmac.h>

#include "common/base/mem.h"

struct pool_entry {
    struct pool_entry *next; /* the one used longest ago is the last */
    uint8_t digest[SHA256_DIGEST_SIZE];
    uint32_t number;
    uint32_t refs;
    struct auth_credential *credential; /* NULL while nobody uses it */
};

struct auth_pool {
    uint8_t key[AUTH_POOL_KEY_SIZE];
    struct pool_entry *entries;
    uint32_t count;
    uint32_t number_last;
};

struct auth_pool *auth_pool_new(const uint8_t key[AUTH_POOL_KEY_SIZE])
{
    struct auth_pool *pool = mem_new(1, sizeof *pool);
    memcpy(pool->key, key, sizeof pool->key);
    return pool;
}

void auth_pool_free(struct auth_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->entries != NULL) {
        struct pool_entry *entry = pool->entries;
        pool->entries = entry->next;
        auth_credential_free(entry->credential);
        free(entry);
    }
    explicit_bzero(pool->key, sizeof pool->key);
    free(pool);
}

static void digest_of(const struct auth_pool *pool, const char *account, const char *password,
                      uint8_t digest[SHA256_DIGEST_SIZE])
{
    struct hmac_sha256_ctx hmac;
    hmac_sha256_set_key(&hmac, sizeof pool->key, pool->key);
    if (account[0] == '.' && account[1] == '\\')
        account += 2;
    for (const char *at = account; *at != '\0'; at++) {
        uint8_t letter = (uint8_t)*at;
        if (letter >= 'A' && letter <= 'Z')
            letter = (uint8_t)(letter - 'A' + 'a');
        hmac_sha256_update(&hmac, 1, &letter);
    }
    hmac_sha256_update(&hmac, 1, (const uint8_t *)"");
    hmac_sha256_update(&hmac, strlen(password), (const uint8_t *)password);
    hmac_sha256_digest(&hmac, SHA256_DIGEST_SIZE, digest);
    explicit_bzero(&hmac, sizeof hmac);
}

/* Takes the entry out of the list; NULL when there is none. */
static struct pool_entry *take_known(struct auth_pool *pool, const uint8_t *digest)
{
    struct pool_entry **link = &pool->entries;
    while (*link != NULL && memcmp((*link)->digest, digest, SHA256_DIGEST_SIZE) != 0)
        link = &(*link)->next;
    struct pool_entry *entry = *link;
    if (entry != NULL)
        *link = entry->next;
    return entry;
}

/* Room for one more: the unused entry that is used longest ago goes. */
static void make_room(struct auth_pool *pool)
{
    struct pool_entry **oldest = NULL;
    if (pool->count < AUTH_POOL_ENTRIES_MAX)
        return;
    for (struct pool_entry **link = &pool->entries; *link != NULL; link = &(*link)->next) {
        if ((*link)->refs == 0)
            oldest = link;
    }
    if (oldest == NULL)
        return;
    struct pool_entry *entry = *oldest;
    *oldest = entry->next;
    pool->count--;
    free(entry);
}

static void put_first(struct auth_pool *pool, struct pool_entry *entry)
{
    entry->next = pool->entries;
    pool->entries = entry;
}

int auth_pool_get(struct auth_pool *pool, const char *account, const char *password,
                  const struct auth_credential **credential, uint32_t *number, struct err *err)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct auth_credential *made = NULL;
    digest_of(pool, account, password, digest);
    struct pool_entry *entry = take_known(pool, digest);
    bool needed = entry == NULL || entry->credential == NULL;
    int status = needed ? auth_credential_new(account, password, &made, err) : 0;
    if (status != 0) {
        if (entry != NULL)
            put_first(pool, entry);
        return -1;
    }
    if (entry == NULL) {
        make_room(pool);
        entry = mem_new(1, sizeof *entry);
        memcpy(entry->digest, digest, sizeof entry->digest);
        entry->number = ++pool->number_last;
        pool->count++;
    }
    put_first(pool, entry);
    if (needed)
        entry->credential = made;
    entry->refs++;
    *credential = entry->credential;
    *number = entry->number;
    return 0;
}

void auth_pool_drop(struct auth_pool *pool, const struct auth_credential *credential)
{
    struct pool_entry *entry = pool->entries;
    while (entry != NULL && entry->credential != credential)
        entry = entry->next;
    assert(entry != NULL && entry->refs > 0);
    if (--entry->refs > 0)
        return;
    auth_credential_free(entry->credential);
    entry->credential = NULL;
}
