/* Samples of messages about sites, routes and packages. */
#include "wire_samples.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/model/subnet.h"

static void fill_site(struct site *site, uint32_t subnets, uint32_t patterns)
{
    FILL(site);
    FILL_TEXT(site->name);
    site->subnet_count = subnets;
    site->subnets = subnets > 0 ? new_texts(subnets, SUBNET_TEXT_SIZE) : NULL;
    site->pattern_count = patterns;
    site->patterns = patterns > 0 ? new_texts(patterns, LIMIT_TARGET_NAME_SIZE) : NULL;
    site->is_default = true;
}

static void same_site(const struct site *a, const struct site *b)
{
    struct site x = *a;
    struct site y = *b;
    same_texts(x.subnets, x.subnet_count, y.subnets, y.subnet_count);
    same_texts(x.patterns, x.pattern_count, y.patterns, y.pattern_count);
    x.subnets = y.subnets;
    x.patterns = y.patterns;
    SAME(&x, &y);
}

/* The most rows are the most of everything that one site may have. */
void fill_site_put(struct message *m, uint32_t rows)
{
    bool most = rows == LIMIT_ROWS_PER_MESSAGE;
    FILL(&m->site_put);
    fill_site(&m->site_put.site, most ? LIMIT_SITE_SUBNETS : rows,
              most ? LIMIT_SITE_PATTERNS : rows);
    m->site_put.add_only = true;
}

void same_site_put(struct message *a, struct message *b)
{
    same_site(&a->site_put.site, &b->site_put.site);
    assert_int_equal(a->site_put.add_only, b->site_put.add_only);
}

void fill_site_ref(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL_TEXT(m->site_ref.site);
}

void same_site_ref(struct message *a, struct message *b)
{
    SAME(&a->site_ref, &b->site_ref);
}

void fill_sites_get(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->sites_get);
}

void same_sites_get(struct message *a, struct message *b)
{
    SAME(&a->sites_get, &b->sites_get);
}

void fill_sites(struct message *m, uint32_t rows)
{
    m->sites.next = 1234;
    m->sites.row_count = rows;
    m->sites.rows = mem_new(rows, sizeof *m->sites.rows);
    for (uint32_t i = 0; i < rows; i++)
        fill_site(&m->sites.rows[i], i % 4, i % 3);
}

void same_sites(struct message *a, struct message *b)
{
    assert_int_equal(a->sites.next, b->sites.next);
    assert_int_equal(a->sites.row_count, b->sites.row_count);
    for (uint32_t i = 0; i < a->sites.row_count; i++)
        same_site(&a->sites.rows[i], &b->sites.rows[i]);
}

void fill_routes_get(struct message *m, uint32_t rows)
{
    m->routes_get.name_count = rows;
    m->routes_get.names = new_texts(rows, LIMIT_TARGET_NAME_SIZE);
    FILL_TEXT(m->routes_get.site);
}

void same_routes_get(struct message *a, struct message *b)
{
    struct message_routes_get *x = &a->routes_get;
    struct message_routes_get *y = &b->routes_get;
    same_texts(x->names, x->name_count, y->names, y->name_count);
    assert_string_equal(x->site, y->site);
}

void fill_routes(struct message *m, uint32_t rows)
{
    m->routes.row_count = rows;
    m->routes.rows = mem_new(rows, sizeof *m->routes.rows);
    for (uint32_t i = 0; i < rows; i++) {
        struct route_row *row = &m->routes.rows[i];
        FILL(row);
        row->target = new_text(LIMIT_TARGET_NAME_SIZE);
        row->by = (enum route_by)(i % ROUTE_BY_COUNT);
        FILL_TEXT(row->site);
        FILL_TEXT(row->address);
        FILL_TEXT(row->match);
        row->reason = (enum reason)(i % REASON_COUNT);
    }
}

void same_routes(struct message *a, struct message *b)
{
    assert_int_equal(a->routes.row_count, b->routes.row_count);
    for (uint32_t i = 0; i < a->routes.row_count; i++) {
        struct route_row p = a->routes.rows[i];
        struct route_row q = b->routes.rows[i];
        assert_string_equal(p.target, q.target);
        p.target = q.target;
        SAME(&p, &q);
    }
}

void fill_lint(struct message *m, uint32_t rows)
{
    m->lint.more = true;
    m->lint.row_count = rows;
    m->lint.rows = mem_new(rows, sizeof *m->lint.rows);
    for (uint32_t i = 0; i < rows; i++) {
        FILL(&m->lint.rows[i]);
        m->lint.rows[i].kind = (enum lint_kind)(i % LINT_KIND_COUNT);
        m->lint.rows[i].error = i % 2 == 0;
        FILL_TEXT(m->lint.rows[i].text);
    }
}

void same_lint(struct message *a, struct message *b)
{
    assert_int_equal(a->lint.more, b->lint.more);
    assert_int_equal(a->lint.row_count, b->lint.row_count);
    for (uint32_t i = 0; i < a->lint.row_count; i++)
        SAME(&a->lint.rows[i], &b->lint.rows[i]);
}

void fill_parts_get(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL_TEXT(m->parts_get.push.prefix);
    m->parts_get.first = UINT32_MAX;
}

void same_parts_get(struct message *a, struct message *b)
{
    SAME(&a->parts_get, &b->parts_get);
}

void fill_parts(struct message *m, uint32_t rows)
{
    m->parts.next = 512;
    m->parts.row_count = rows;
    m->parts.rows = mem_new(rows, sizeof *m->parts.rows);
    for (uint32_t i = 0; i < rows; i++) {
        FILL(&m->parts.rows[i]);
        FILL_TEXT(m->parts.rows[i].site);
        FILL_TEXT(m->parts.rows[i].relay);
    }
}

void same_parts(struct message *a, struct message *b)
{
    assert_int_equal(a->parts.next, b->parts.next);
    assert_int_equal(a->parts.row_count, b->parts.row_count);
    for (uint32_t i = 0; i < a->parts.row_count; i++)
        SAME(&a->parts.rows[i], &b->parts.rows[i]);
}

void fill_packages(struct message *m, uint32_t rows)
{
    m->packages.row_count = rows;
    m->packages.rows = mem_new(rows, sizeof *m->packages.rows);
    for (uint32_t i = 0; i < rows; i++) {
        struct package_row *row = &m->packages.rows[i];
        FILL(row);
        FILL_TEXT(row->name);
        row->bytes = LIMIT_PACKAGE_BYTES_MAX;
        row->stored = LIMIT_PACKAGE_BYTES_MAX - i;
        row->directory = true;
        row->in_use = i % 2 == 0;
    }
}

void same_packages(struct message *a, struct message *b)
{
    assert_int_equal(a->packages.row_count, b->packages.row_count);
    for (uint32_t i = 0; i < a->packages.row_count; i++)
        SAME(&a->packages.rows[i], &b->packages.rows[i]);
}

void fill_package_ref(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->package_ref);
}

void same_package_ref(struct message *a, struct message *b)
{
    SAME(&a->package_ref, &b->package_ref);
}
