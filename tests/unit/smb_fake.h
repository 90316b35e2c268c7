/* A scripted SMB server for unit tests: takes the engine's requests apart, and answers what the
 * test says, signed or sealed as a real server would, with faults where wanted.
 */
#ifndef PUSHER_TESTS_UNIT_SMB_FAKE_H
#define PUSHER_TESTS_UNIT_SMB_FAKE_H

#include "relay/smb/smb_internal.h"

#define FAKE_SESSION 0x100000000019U
#define FAKE_TREE 5U

struct fake {
    struct smb_conn *conn;
    struct smb_crypto *crypto; /* the server's side; NULL before the logon is done */
    bool seal;
    struct buf sent;    /* taken from the engine's output, not looked at yet */
    struct buf request; /* the request looked at last, in plain */
    struct buf rest;    /* parts of its compound behind it */
    unsigned frames;    /* messages taken so far; a compound is one */
    struct err err;     /* of the last smb_conn_receive */
};

/* What an answer's header says, and what is wrong with it. */
struct fake_answer {
    uint32_t status;
    uint16_t command;    /* taken from the last request unless set */
    uint16_t credits;    /* 0: 10 */
    bool no_credits;     /* really 0 */
    uint32_t flags;      /* besides RESPONSE and SIGNED */
    uint64_t message_id; /* taken from the last request unless set */
    uint64_t session;    /* FAKE_SESSION unless set */
    uint32_t tree;       /* FAKE_TREE unless set */
    bool bare;           /* neither signed nor sealed */
    bool joined;         /* of fake_join: its parts are signed already */
    long flip;           /* not 0: byte of the finished frame to flip; negative from the end */
    size_t cut;          /* bytes missing at the end of the message, before it is protected */
};

/* A connection that is logged on already, without the exchange: nothing in its output. */
void fake_init_ready(struct fake *f, enum smb_dialect dialect, enum smb_signing signing,
                     enum smb_cipher cipher);
void fake_release(struct fake *f);

/* Takes the next request out of the output, a compound part by part; false when there is none.
 * Asserts its protection. */
bool fake_next_request(struct fake *f);
uint16_t fake_request_u16(const struct fake *f, size_t offset);
uint32_t fake_request_u32(const struct fake *f, size_t offset);
uint64_t fake_request_u64(const struct fake *f, size_t offset);

/* Builds one message: header and body. */
void fake_message(struct fake *f, const struct fake_answer *answer, const void *body,
                  size_t body_size, struct buf *message);
/* Protects it, frames it and feeds it; returns smb_conn_receive's result. */
int fake_feed(struct fake *f, const struct fake_answer *answer, const struct buf *message);
/* Makes a compound of messages (released), each padded and signed by itself. */
void fake_join(struct fake *f, struct buf *messages, size_t count, struct buf *joined);
/* Both in one. */
int fake_answer(struct fake *f, const struct fake_answer *answer, const void *body,
                size_t body_size);

/* Bodies of good answers, as [MS-SMB2] 2.2 draws them; each returns its size. */
size_t fake_body_plain(uint8_t *body, uint16_t structure_size);
size_t fake_body_tree(uint8_t *body, uint8_t share_type);
size_t fake_body_create(uint8_t *body);
size_t fake_body_write(uint8_t *body, uint32_t count);
size_t fake_body_read(uint8_t *body, const void *data, size_t size);
size_t fake_body_query(uint8_t *body, const void *data, size_t size);
size_t fake_body_ioctl(uint8_t *body, uint32_t code, const void *data, size_t size);

#endif
