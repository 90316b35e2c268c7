/* Strikes at a frame that is signed or sealed already, as anybody on the way could: its bytes, its
 * length, and whether and when it comes. */
#include <string.h>

#include "relay/smb/smb_internal.h"
#include "tests/bench/light/hostile.h"

#define LENGTH_SIZE 4U /* [MS-SMB2] 2.1 */
#define LATE_MAX_MS 20000U
#define GARBAGE_MAX 65536U

static void put_length(struct buf *out, size_t at, uint32_t length)
{
    for (uint32_t i = 0; i < LENGTH_SIZE; i++)
        out->data[at + i] = (uint8_t)(length >> (8 * (LENGTH_SIZE - 1 - i)));
}

static void strike_bits(struct hostile *hostile, struct buf *out, size_t at)
{
    hostile_bits(hostile, out, at + LENGTH_SIZE);
}

static void strike_length(struct hostile *hostile, struct buf *out, size_t at)
{
    static const uint32_t odd[] = {0, 1, 63, 64, 0x00FFFFFF, 0x01000000, 0x7FFFFFFF, 0xFFFFFFFF};
    uint32_t real = (uint32_t)(out->size - at - LENGTH_SIZE);
    uint32_t row = hostile_random(hostile, sizeof odd / sizeof odd[0] + 2);
    if (row < sizeof odd / sizeof odd[0])
        put_length(out, at, odd[row]);
    else
        put_length(out, at, row % 2 == 0 ? real + 1 + hostile_random(hostile, 4096) : real - 1);
}

/* Part of the frame, and then: */
static size_t part(struct hostile *hostile, struct buf *out, size_t at)
{
    hostile->line.allowed = at + 1 + hostile_random(hostile, (uint32_t)(out->size - at));
    return hostile->line.allowed;
}

static void strike_part_end(struct hostile *hostile, struct buf *out, size_t at)
{
    (void)part(hostile, out, at);
    hostile->line.ends = true;
}

static void strike_part_reset(struct hostile *hostile, struct buf *out, size_t at)
{
    (void)part(hostile, out, at);
    hostile->line.ends = hostile->line.resets = true;
}

static void strike_part_silence(struct hostile *hostile, struct buf *out, size_t at)
{
    (void)part(hostile, out, at);
}

static void strike_dribble(struct hostile *hostile, struct buf *out, size_t at)
{
    (void)out;
    hostile->line.allowed = at;
    hostile->line.dribbles = true;
}

static void strike_end(struct hostile *hostile, struct buf *out, size_t at)
{
    out->size = at;
    hostile->line.ends = true;
}

static void strike_reset(struct hostile *hostile, struct buf *out, size_t at)
{
    out->size = at;
    hostile->line.ends = hostile->line.resets = true;
}

static void strike_silence(struct hostile *hostile, struct buf *out, size_t at)
{
    (void)hostile;
    out->size = at;
}

static void strike_late(struct hostile *hostile, struct buf *out, size_t at)
{
    (void)out;
    (void)at;
    hostile->line.late_ms = 100 + hostile_random(hostile, LATE_MAX_MS);
}

static void strike_repeat(struct hostile *hostile, struct buf *out, size_t at)
{
    struct buf again;
    buf_init(&again, SIZE_MAX / 2);
    buf_bytes(&again, out->data + at, out->size - at);
    for (uint32_t left = 1 + hostile_random(hostile, 3); left > 0; left--)
        buf_bytes(out, again.data, again.size);
    buf_release(&again);
}

/* Kept back until the next answer has left. */
static void strike_reorder(struct hostile *hostile, struct buf *out, size_t at)
{
    buf_reset(&hostile->held);
    buf_bytes(&hostile->held, out->data + at, out->size - at);
    out->size = at;
}

static void frame_of_noise(struct hostile *hostile, struct buf *out, size_t at, const char *begin)
{
    uint32_t size = 4 + hostile_random(hostile, GARBAGE_MAX);
    out->size = at;
    buf_u32be(out, size);
    buf_bytes(out, begin, 4);
    for (uint32_t i = 4; i < size; i++)
        buf_u8(out, (uint8_t)hostile_random(hostile, 256));
}

static void strike_garbage(struct hostile *hostile, struct buf *out, size_t at)
{
    frame_of_noise(hostile, out, at, "\x01\x02\x03\x04");
}

static void strike_sealed_garbage(struct hostile *hostile, struct buf *out, size_t at)
{
    frame_of_noise(hostile, out, at, "\xfdSMB");
}

static void strike_plain_garbage(struct hostile *hostile, struct buf *out, size_t at)
{
    frame_of_noise(hostile, out, at, "\xfeSMB");
}

static void strike_smb1(struct hostile *hostile, struct buf *out, size_t at)
{
    frame_of_noise(hostile, out, at, "\xffSMB");
}

/* Without the seal or the signature: the header of an answer that anybody could have made. */
static void strike_forged(struct hostile *hostile, struct buf *out, size_t at)
{
    out->size = at;
    struct buf message;
    buf_init(&message, 256);
    hostile->line.flood = "forged";
    hostile->message_id = hostile_random(hostile, 64);
    hostile->command = (uint16_t)hostile_random(hostile, 19);
    hostile_flood(hostile, &message);
    hostile->line.flood = NULL;
    buf_u32be(out, (uint32_t)message.size);
    buf_bytes(out, message.data, message.size);
    buf_release(&message);
}

static void strike_deaf(struct hostile *hostile, struct buf *out, size_t at)
{
    (void)out;
    (void)at;
    hostile->line.deaf = true;
}

/* Noise without end, under a length that would hold it. */
static void strike_noise_endless(struct hostile *hostile, struct buf *out, size_t at)
{
    frame_of_noise(hostile, out, at, "\xfeSMB");
    hostile->line.flood = "noise";
}

struct hostile_strikes hostile_frame_strikes(void)
{
    static const struct hostile_strike rows[] = {
        {false, "frame-bits", HOSTILE_FRAME, strike_bits},
        {true, "frame-length", HOSTILE_FRAME, strike_length},
        {false, "part-end", HOSTILE_FRAME, strike_part_end},
        {false, "part-reset", HOSTILE_FRAME, strike_part_reset},
        {true, "part-silence", HOSTILE_FRAME, strike_part_silence},
        {true, "dribble", HOSTILE_FRAME, strike_dribble},
        {false, "end", HOSTILE_FRAME, strike_end},
        {false, "reset", HOSTILE_FRAME, strike_reset},
        {true, "silence", HOSTILE_FRAME, strike_silence},
        {true, "late", HOSTILE_FRAME, strike_late},
        {false, "repeat", HOSTILE_FRAME, strike_repeat},
        {true, "reorder", HOSTILE_FRAME, strike_reorder},
        {false, "garbage", HOSTILE_FRAME, strike_garbage},
        {false, "sealed-garbage", HOSTILE_FRAME, strike_sealed_garbage},
        {false, "plain-garbage", HOSTILE_FRAME, strike_plain_garbage},
        {false, "smb1", HOSTILE_FRAME, strike_smb1},
        {false, "forged", HOSTILE_FRAME, strike_forged},
        {true, "deaf", HOSTILE_FRAME, strike_deaf},
        {true, "noise-endless", HOSTILE_FRAME, strike_noise_endless},
    };
    return (struct hostile_strikes){rows, sizeof rows / sizeof rows[0]};
}
