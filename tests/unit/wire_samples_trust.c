/* Samples of messages about enrolment, signed objects, peers and permits. */
#include "wire_samples.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

#define SAME_WHOLE(name)                                                                           \
    void same_##name(struct message *a, struct message *b)                                         \
    {                                                                                              \
        SAME(&a->name, &b->name);                                                                  \
    }

void fill_enroll(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->enroll);
    FILL_TEXT(m->enroll.relay_name);
}
SAME_WHOLE(enroll)

void fill_enrolled(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->enrolled);
    FILL_TEXT(m->enrolled.site);
    m->enrolled.package_port = 65535;
}
SAME_WHOLE(enrolled)

void fill_peer(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->peer);
    FILL_TEXT(m->peer.serve);
    m->peer.certificate_size = 500;
    m->peer.certificate = new_bytes(500);
}

void same_peer(struct message *a, struct message *b)
{
    struct message_peer x = a->peer;
    struct message_peer y = b->peer;
    same_blob(x.certificate, x.certificate_size, y.certificate, y.certificate_size);
    x.certificate = y.certificate;
    SAME(&x, &y);
}

void fill_permit_get(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->permit_get);
    m->permit_get.accepted = true;
    m->permit_get.done = true;
}
SAME_WHOLE(permit_get)

void fill_permit(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->permit);
    m->permit.granted = true;
    m->permit.open = true;
    m->permit.refused = true;
}
SAME_WHOLE(permit)

void fill_object(struct message *m, uint32_t rows)
{
    (void)rows;
    m->object.size = 60000;
    m->object.bytes = new_bytes(60000);
}

void same_object(struct message *a, struct message *b)
{
    same_blob(a->object.bytes, a->object.size, b->object.bytes, b->object.size);
}

void fill_objects_get(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->objects_get);
    FILL_TEXT(m->objects_get.site);
}
SAME_WHOLE(objects_get)

void fill_objects(struct message *m, uint32_t rows)
{
    m->objects.next = 99;
    m->objects.row_count = rows;
    m->objects.rows = mem_new(rows, sizeof *m->objects.rows);
    for (uint32_t i = 0; i < rows; i++) {
        m->objects.rows[i].size = 900;
        m->objects.rows[i].bytes = new_bytes(900);
    }
}

void same_objects(struct message *a, struct message *b)
{
    assert_int_equal(a->objects.next, b->objects.next);
    assert_int_equal(a->objects.row_count, b->objects.row_count);
    for (uint32_t i = 0; i < a->objects.row_count; i++)
        same_blob(a->objects.rows[i].bytes, a->objects.rows[i].size, b->objects.rows[i].bytes,
                  b->objects.rows[i].size);
}

void fill_token_put(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->token_put);
    FILL_TEXT(m->token_put.site);
}
SAME_WHOLE(token_put)

void fill_token(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->token);
}
SAME_WHOLE(token)

void fill_relay_set(struct message *m, uint32_t rows)
{
    (void)rows;
    FILL(&m->relay_set);
    m->relay_set.standing = RELAY_REVOKED;
}
SAME_WHOLE(relay_set)

void fill_push_credentials(struct message *m, uint32_t rows)
{
    FILL(&m->push_credentials);
    m->push_credentials.row_count = rows;
    m->push_credentials.rows = mem_new(rows, sizeof *m->push_credentials.rows);
    for (uint32_t i = 0; i < rows; i++) {
        FILL(&m->push_credentials.rows[i]);
        m->push_credentials.rows[i].size = 800;
        m->push_credentials.rows[i].bytes = new_bytes(800);
    }
}

void same_push_credentials(struct message *a, struct message *b)
{
    struct message_push_credentials x = a->push_credentials;
    struct message_push_credentials y = b->push_credentials;
    assert_int_equal(x.row_count, y.row_count);
    for (uint32_t i = 0; i < x.row_count; i++) {
        struct push_credential p = x.rows[i];
        struct push_credential q = y.rows[i];
        same_blob(p.bytes, p.size, q.bytes, q.size);
        p.bytes = q.bytes;
        SAME(&p, &q);
    }
    x.rows = y.rows;
    SAME(&x, &y);
}
