/* Strikes at one SMB message, header and all, that will be signed or sealed as it then is; and
 * those at any bytes. Offsets of the header: [MS-SMB2] 2.2.1.2. */
#include <string.h>

#include "relay/smb/smb_internal.h"
#include "tests/bench/light/hostile.h"

#define AT_STRUCTURE_SIZE 4U
#define AT_STATUS 8U
#define AT_COMMAND 12U
#define AT_CREDITS 14U
#define AT_FLAGS 16U
#define AT_NEXT 20U
#define AT_MESSAGE_ID 24U
#define AT_TREE 36U
#define AT_SESSION 40U
#define LONGER_MAX 60000U
#define NO_MESSAGE_ID UINT64_MAX

/* --- Any bytes --- */

void hostile_bits(struct hostile *hostile, struct buf *bytes, size_t at)
{
    size_t size = bytes->size - at;
    for (uint32_t left = 1 + hostile_random(hostile, 8); left > 0 && size > 0; left--)
        bytes->data[at + hostile_random(hostile, (uint32_t)size)] ^=
            (uint8_t)(1U << hostile_random(hostile, 8));
}

/* A number that is wrong, where one of 1, 2 or 4 bytes may stand. */
void hostile_field(struct hostile *hostile, struct buf *bytes, size_t at)
{
    size_t size = bytes->size - at;
    uint32_t width = 1U << hostile_random(hostile, 3);
    uint32_t value = hostile_odd_number(hostile);
    if (size < width)
        return;
    size_t field = at + hostile_random(hostile, (uint32_t)(size / width)) * (size_t)width;
    for (uint32_t i = 0; i < width; i++)
        bytes->data[field + i] = (uint8_t)(value >> (8 * i));
}

void hostile_cut(struct hostile *hostile, struct buf *bytes, size_t at)
{
    if (bytes->size > at)
        bytes->size = at + hostile_random(hostile, (uint32_t)(bytes->size - at));
}

static void add_noise(struct hostile *hostile, struct buf *bytes, size_t size)
{
    while (size-- > 0)
        buf_u8(bytes, (uint8_t)hostile_random(hostile, 256));
}

void hostile_longer(struct hostile *hostile, struct buf *bytes, size_t at)
{
    (void)at;
    add_noise(hostile, bytes, 1 + hostile_random(hostile, LONGER_MAX));
}

void hostile_noise(struct hostile *hostile, struct buf *bytes, size_t at)
{
    for (size_t i = at; i < bytes->size; i++)
        bytes->data[i] = (uint8_t)hostile_random(hostile, 256);
}

/* --- A message --- */

static size_t body_at(const struct buf *bytes, size_t at)
{
    size_t body = at + SMB_HEADER_SIZE;
    return body < bytes->size ? body : bytes->size;
}

static void strike_body_bits(struct hostile *hostile, struct buf *bytes, size_t at)
{
    hostile_bits(hostile, bytes, body_at(bytes, at));
}

static void strike_body_field(struct hostile *hostile, struct buf *bytes, size_t at)
{
    hostile_field(hostile, bytes, body_at(bytes, at));
}

/* Several of them. */
static void strike_body_fields(struct hostile *hostile, struct buf *bytes, size_t at)
{
    for (uint32_t left = 2 + hostile_random(hostile, 6); left > 0; left--)
        hostile_field(hostile, bytes, body_at(bytes, at));
}

static void strike_body_cut(struct hostile *hostile, struct buf *bytes, size_t at)
{
    hostile_cut(hostile, bytes, body_at(bytes, at));
}

static void strike_body_noise(struct hostile *hostile, struct buf *bytes, size_t at)
{
    hostile_noise(hostile, bytes, body_at(bytes, at));
}

static void strike_body_zero(struct hostile *hostile, struct buf *bytes, size_t at)
{
    (void)hostile;
    size_t body = body_at(bytes, at) + 2; /* StructureSize stays */
    if (body < bytes->size)
        memset(bytes->data + body, 0, bytes->size - body);
}

static void strike_header_cut(struct hostile *hostile, struct buf *bytes, size_t at)
{
    hostile_cut(hostile, bytes, at);
}

static void strike_header_field(struct hostile *hostile, struct buf *bytes, size_t at)
{
    struct buf header = *bytes;
    header.size = body_at(bytes, at);
    hostile_field(hostile, &header, at);
}

static void strike_status(struct hostile *hostile, struct buf *bytes, size_t at)
{
    static const uint32_t statuses[] = {NTSTATUS_SUCCESS,
                                        NTSTATUS_PENDING,
                                        NTSTATUS_BUFFER_OVERFLOW,
                                        NTSTATUS_ACCESS_DENIED,
                                        NTSTATUS_LOGON_FAILURE,
                                        NTSTATUS_MORE_PROCESSING_REQUIRED,
                                        NTSTATUS_NOT_SUPPORTED,
                                        NTSTATUS_SHARING_VIOLATION,
                                        NTSTATUS_OBJECT_NAME_NOT_FOUND,
                                        NTSTATUS_END_OF_FILE,
                                        NTSTATUS_DELETE_PENDING,
                                        NTSTATUS_USER_SESSION_DELETED,
                                        NTSTATUS_NETWORK_SESSION_EXPIRED,
                                        0x80000005U,
                                        0xC0000000U,
                                        0xFFFFFFFFU,
                                        0x40000000U};
    uint32_t row = hostile_random(hostile, sizeof statuses / sizeof statuses[0] + 1);
    buf_patch_u32le(bytes, at + AT_STATUS,
                    row < sizeof statuses / sizeof statuses[0]
                        ? statuses[row]
                        : 0xC0000000U + hostile_random(hostile, 1024));
}

static void strike_command(struct hostile *hostile, struct buf *bytes, size_t at)
{
    buf_patch_u16le(bytes, at + AT_COMMAND, (uint16_t)hostile_random(hostile, 24));
}

static void strike_no_credits(struct hostile *hostile, struct buf *bytes, size_t at)
{
    (void)hostile;
    buf_patch_u16le(bytes, at + AT_CREDITS, 0);
}

static void strike_all_credits(struct hostile *hostile, struct buf *bytes, size_t at)
{
    (void)hostile;
    buf_patch_u16le(bytes, at + AT_CREDITS, UINT16_MAX);
}

static void strike_flags(struct hostile *hostile, struct buf *bytes, size_t at)
{
    buf_patch_u32le(bytes, at + AT_FLAGS, hostile_random(hostile, 32));
}

static void strike_next(struct hostile *hostile, struct buf *bytes, size_t at)
{
    buf_patch_u32le(bytes, at + AT_NEXT, hostile_odd_number(hostile));
}

static void strike_message_id(struct hostile *hostile, struct buf *bytes, size_t at)
{
    buf_patch_u32le(bytes, at + AT_MESSAGE_ID, hostile_odd_number(hostile));
}

static void strike_tree(struct hostile *hostile, struct buf *bytes, size_t at)
{
    buf_patch_u32le(bytes, at + AT_TREE, hostile_odd_number(hostile));
}

static void strike_session(struct hostile *hostile, struct buf *bytes, size_t at)
{
    buf_patch_u32le(bytes, at + AT_SESSION, hostile_odd_number(hostile));
}

static void strike_structure(struct hostile *hostile, struct buf *bytes, size_t at)
{
    buf_patch_u16le(bytes, at + AT_STRUCTURE_SIZE, (uint16_t)hostile_odd_number(hostile));
}

/* The size of the structure alone, and a good word: nothing that the client needs. */
static void strike_bare(struct hostile *hostile, struct buf *bytes, size_t at)
{
    (void)hostile;
    size_t kept = body_at(bytes, at) + 2;
    buf_patch_u32le(bytes, at + AT_STATUS, NTSTATUS_SUCCESS);
    if (kept < bytes->size)
        bytes->size = kept;
}

/* What comes in place of the answer is an interim one; the next are the flood's. */
static void interim(struct buf *bytes, size_t at)
{
    if (bytes->size < at + SMB_HEADER_SIZE)
        return;
    bytes->size = at + SMB_HEADER_SIZE;
    buf_patch_u32le(bytes, at + AT_STATUS, NTSTATUS_PENDING);
    buf_patch_u32le(bytes, at + AT_FLAGS,
                    SMB_FLAG_RESPONSE | SMB_FLAG_ASYNC |
                        (bytes->data[at + AT_FLAGS] & SMB_FLAG_SIGNED));
    buf_u16le(bytes, 9); /* 2.2.2 */
    buf_zero(bytes, 2 + 4 + 1);
}

static void remember(struct hostile *hostile, const struct buf *bytes, size_t at)
{
    struct cursor c = cursor_of(bytes->data, bytes->size);
    cursor_seek(&c, at + AT_COMMAND);
    hostile->command = cursor_u16le(&c);
    cursor_seek(&c, at + AT_MESSAGE_ID);
    hostile->message_id = cursor_u64le(&c);
}

static void strike_interim(struct hostile *hostile, struct buf *bytes, size_t at)
{
    remember(hostile, bytes, at);
    interim(bytes, at);
}

static void strike_interim_endless(struct hostile *hostile, struct buf *bytes, size_t at)
{
    remember(hostile, bytes, at);
    interim(bytes, at);
    hostile->line.flood = "interim";
}

/* Breaks of oplocks that nobody holds, again and again: the only message that needs no request. */
static void strike_oplocks(struct hostile *hostile, struct buf *bytes, size_t at)
{
    (void)bytes;
    (void)at;
    hostile->command = SMB_COMMAND_OPLOCK_BREAK;
    hostile->message_id = NO_MESSAGE_ID;
    hostile->line.flood = "oplocks";
}

/* Answers to requests that nobody made. */
static void strike_unasked(struct hostile *hostile, struct buf *bytes, size_t at)
{
    remember(hostile, bytes, at);
    hostile->message_id += 1 + hostile_random(hostile, 1000);
    hostile->line.flood = "unasked";
}

void hostile_flood(struct hostile *hostile, struct buf *message)
{
    bool pending = strcmp(hostile->line.flood, "interim") == 0;
    buf_bytes(message, "\xfeSMB", 4);
    buf_u16le(message, SMB_HEADER_SIZE);
    buf_u16le(message, 1); /* CreditCharge */
    buf_u32le(message, pending ? NTSTATUS_PENDING : NTSTATUS_SUCCESS);
    buf_u16le(message, hostile->command);
    buf_u16le(message, 1); /* CreditResponse */
    buf_u32le(message, SMB_FLAG_RESPONSE | (pending ? SMB_FLAG_ASYNC : 0));
    buf_u32le(message, 0); /* NextCommand */
    buf_u64le(message, hostile->message_id);
    buf_zero(message, SMB_HEADER_SIZE - 32); /* the caller's, and nobody's */
    buf_u16le(message, 24);                  /* 2.2.23.1 */
    buf_zero(message, 22);
}

struct hostile_strikes hostile_message_strikes(void)
{
    static const struct hostile_strike rows[] = {
        {false, "body-bits", HOSTILE_MESSAGE, strike_body_bits},
        {false, "body-field", HOSTILE_MESSAGE, strike_body_field},
        {false, "body-fields", HOSTILE_MESSAGE, strike_body_fields},
        {false, "body-cut", HOSTILE_MESSAGE, strike_body_cut},
        {false, "body-noise", HOSTILE_MESSAGE, strike_body_noise},
        {false, "body-zero", HOSTILE_MESSAGE, strike_body_zero},
        {false, "message-longer", HOSTILE_MESSAGE, hostile_longer},
        {false, "header-cut", HOSTILE_MESSAGE, strike_header_cut},
        {false, "header-field", HOSTILE_MESSAGE, strike_header_field},
        {false, "status", HOSTILE_MESSAGE, strike_status},
        {false, "command", HOSTILE_MESSAGE, strike_command},
        {false, "no-credits", HOSTILE_MESSAGE, strike_no_credits},
        {false, "all-credits", HOSTILE_MESSAGE, strike_all_credits},
        {false, "flags", HOSTILE_MESSAGE, strike_flags},
        {false, "next", HOSTILE_MESSAGE, strike_next},
        {false, "message-id", HOSTILE_MESSAGE, strike_message_id},
        {false, "tree", HOSTILE_MESSAGE, strike_tree},
        {false, "session", HOSTILE_MESSAGE, strike_session},
        {false, "structure-size", HOSTILE_MESSAGE, strike_structure},
        {false, "bare", HOSTILE_MESSAGE, strike_bare},
        {true, "interim", HOSTILE_MESSAGE, strike_interim},
        {true, "interim-endless", HOSTILE_MESSAGE, strike_interim_endless},
        {true, "oplocks", HOSTILE_MESSAGE, strike_oplocks},
        {true, "unasked", HOSTILE_MESSAGE, strike_unasked},
    };
    return (struct hostile_strikes){rows, sizeof rows / sizeof rows[0]};
}
