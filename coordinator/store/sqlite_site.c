/* SQLite: sites as admins describe them, and which of them targets belong to. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "coordinator/store/sqlite.h"

enum rule_kind { RULE_SUBNET, RULE_PATTERN };

/* ---- describing ---- */

/* A statement whose only parameter is the site. */
static int drop_of_site(struct store *store, enum statement which, uint16_t no, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, which, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, no);
    return sqlite_run(store, write, "change site", err);
}

static int add_rules(struct store *store, uint16_t no, enum rule_kind kind, char *const *texts,
                     uint32_t count, struct err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        sqlite3_stmt *write = sqlite_write(store, SQL_SITE_RULE_ADD, err);
        if (write == NULL)
            return -1;
        sqlite_bind_u64(write, 1, no);
        sqlite_bind_u64(write, 2, (uint64_t)kind);
        sqlite_bind_text(write, 3, texts[i]);
        if (sqlite_run(store, write, "change site", err) != 0)
            return -1;
    }
    return 0;
}

static int describe(struct store *store, uint16_t no, bool described, bool is_default,
                    uint64_t wan_rate, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_SITE_DESCRIBE, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, no);
    sqlite_bind_u64(write, 2, described);
    sqlite_bind_u64(write, 3, is_default);
    sqlite_bind_u64(write, 4, wan_rate);
    return sqlite_run(store, write, "change site", err);
}

int store_site_put(struct store *store, const struct site *site, uint16_t *no, struct err *err)
{
    if (store_site(store, site->name, no, err) != 0 ||
        describe(store, *no, true, site->is_default, site->wan_rate, err) != 0 ||
        drop_of_site(store, SQL_SITE_RULE_DROP, *no, err) != 0 ||
        add_rules(store, *no, RULE_SUBNET, site->subnets, site->subnet_count, err) != 0)
        return -1;
    return add_rules(store, *no, RULE_PATTERN, site->patterns, site->pattern_count, err);
}

int store_site_rm(struct store *store, const char *name, struct err *err)
{
    uint16_t no = 0;
    if (store_site_find(store, name, &no, err) != 0 ||
        describe(store, no, false, false, 0, err) != 0 ||
        drop_of_site(store, SQL_SITE_RULE_DROP, no, err) != 0 ||
        drop_of_site(store, SQL_SITE_TOKEN_DROP, no, err) != 0)
        return -1;
    return drop_of_site(store, SQL_SITE_CREDENTIAL_DROP, no, err);
}

/* ---- looking ---- */

int store_site_find(struct store *store, const char *name, uint16_t *no, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_SITE_DESCRIBED, err);
    if (read == NULL)
        return -1;
    sqlite_bind_text(read, 1, name);
    int got = sqlite_next(store, read, "find site", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no site %s", name);
    if (got < 0)
        return -1;
    *no = (uint16_t)sqlite_u32(read, 0);
    sqlite_done(read);
    return 0;
}

static int read_rules(struct store *store, struct store_site *out, struct err *err)
{
    struct site *site = &out->site;
    sqlite3_stmt *read = sqlite_read(store, SQL_SITE_RULES, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, out->no);
    int got;
    while ((got = sqlite_next(store, read, "read site", err)) == 1) {
        bool subnet = (enum rule_kind)sqlite_u32(read, 0) == RULE_SUBNET;
        char ***texts = subnet ? &site->subnets : &site->patterns;
        uint32_t *count = subnet ? &site->subnet_count : &site->pattern_count;
        *texts = mem_resize(*texts, *count + 1U, sizeof **texts);
        (*texts)[(*count)++] = mem_strdup(sqlite_text(read, 1));
    }
    return got;
}

int store_sites(struct store *store, struct store_site **sites, uint32_t *count, struct err *err)
{
    struct store_site *all = NULL;
    uint32_t found = 0;
    sqlite3_stmt *read = sqlite_read(store, SQL_SITE_LIST, err);
    if (read == NULL)
        return -1;
    int got;
    while ((got = sqlite_next(store, read, "list sites", err)) == 1) {
        all = mem_resize(all, found + 1U, sizeof *all);
        struct store_site *site = &all[found++];
        *site = (struct store_site){.no = (uint16_t)sqlite_u32(read, 0)};
        (void)text_copy(site->site.name, sizeof site->site.name, sqlite_text(read, 1));
        site->site.is_default = sqlite_u32(read, 2) != 0;
        site->site.wan_rate = sqlite_u64(read, 3);
    }
    for (uint32_t i = 0; got == 0 && i < found; i++)
        got = read_rules(store, &all[i], err);
    if (got != 0) {
        store_sites_free(all, found);
        return -1;
    }
    *sites = all;
    *count = found;
    return 0;
}

void store_sites_free(struct store_site *sites, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct site *site = &sites[i].site;
        for (uint32_t j = 0; j < site->subnet_count; j++)
            free(site->subnets[j]);
        for (uint32_t j = 0; j < site->pattern_count; j++)
            free(site->patterns[j]);
        free(site->subnets);
        free(site->patterns);
    }
    free(sites);
}

static int count_for_site(struct store *store, enum statement which, uint16_t site, uint32_t *count,
                          struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, which, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, site);
    if (sqlite_next(store, read, "look who needs a site", err) != 1)
        return -1;
    *count = sqlite_u32(read, 0);
    sqlite_done(read);
    return 0;
}

int store_site_use(struct store *store, uint16_t site, struct store_site_use *use, struct err *err)
{
    if (count_for_site(store, SQL_SITE_RELAYS, site, &use->relay_count, err) != 0)
        return -1;
    return count_for_site(store, SQL_SITE_PUSHES, site, &use->push_count, err);
}

/* ---- routing ---- */

int store_unrouted(struct store *store, uint64_t key, uint32_t first_no,
                   struct store_unrouted *rows, uint32_t row_max, uint32_t *row_count,
                   struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_UNROUTED, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    sqlite_bind_u64(read, 2, first_no);
    sqlite_bind_u64(read, 3, row_max);
    *row_count = 0;
    int got;
    while ((got = sqlite_next(store, read, "read targets", err)) == 1)
        rows[(*row_count)++] =
            (struct store_unrouted){sqlite_u32(read, 0), (enum target_state)sqlite_u32(read, 2),
                                    mem_strdup(sqlite_text(read, 1))};
    return got;
}

int store_is_unrouted(struct store *store, uint64_t key, bool *unrouted, struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_UNROUTED_QUEUED, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got = sqlite_next(store, read, "read targets", err);
    if (got < 0)
        return -1;
    *unrouted = got == 1;
    sqlite_done(read);
    return 0;
}

int store_target_site(struct store *store, uint64_t key, uint32_t first_no, uint32_t target_count,
                      uint16_t site, struct err *err)
{
    sqlite3_stmt *write = sqlite_write(store, SQL_TARGET_SITE, err);
    if (write == NULL)
        return -1;
    sqlite_bind_u64(write, 1, key);
    sqlite_bind_u64(write, 2, first_no);
    sqlite_bind_u64(write, 3, (uint64_t)first_no + target_count);
    sqlite_bind_u64(write, 4, site);
    return sqlite_run(store, write, "route targets", err);
}

int store_push_site(struct store *store, uint64_t key, char site[LIMIT_SITE_NAME_SIZE],
                    struct err *err)
{
    sqlite3_stmt *read = sqlite_read(store, SQL_PUSH_SITE, err);
    if (read == NULL)
        return -1;
    sqlite_bind_u64(read, 1, key);
    int got = sqlite_next(store, read, "read push", err);
    if (got == 0)
        return err_set(err, ERR_NOT_FOUND, "no push %llu", (unsigned long long)key);
    if (got < 0)
        return -1;
    (void)text_copy(site, LIMIT_SITE_NAME_SIZE, sqlite_text(read, 0));
    sqlite_done(read);
    return 0;
}
