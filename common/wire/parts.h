/* Parts that several messages share, in both directions: outcomes, summaries, relay rows. */
#ifndef PUSHER_WIRE_PARTS_H
#define PUSHER_WIRE_PARTS_H

#include "common/model/message.h"
#include "common/wire/coder.h"

#define PART(type) &pusher__##type##__descriptor

/* Each put returns NULL only when the coder has failed. */
Pusher__Outcome *put_outcome(struct coder *c, const struct outcome *from);
void take_outcome(struct coder *c, const Pusher__Outcome *from, struct outcome *to);
Pusher__PushSummary *put_summary(struct coder *c, const struct push_summary *from);
void take_summary(struct coder *c, const Pusher__PushSummary *from, struct push_summary *to);
Pusher__Totals *put_totals(struct coder *c, const struct totals *from);
void take_totals(struct coder *c, const Pusher__Totals *from, struct totals *to);
/* Arrays of pointers, as the generated structs want them; *to_count is set with them. */
void put_relay_rows(struct coder *c, const struct relay_row *from, uint32_t count,
                    Pusher__RelayRow ***to, size_t *to_count);
void take_relay_rows(struct coder *c, Pusher__RelayRow *const *from, size_t count,
                     struct relay_row **to, uint32_t *to_count);
/* Names, subnets, patterns: at most count_max texts of size_max bytes with the NUL. */
void put_texts(struct coder *c, char *const *from, uint32_t count, uint32_t count_max,
               size_t size_max, ProtobufCBinaryData **to, size_t *to_count, const char *field);
void take_texts(struct coder *c, const ProtobufCBinaryData *from, size_t count, uint32_t count_max,
                size_t size_max, char ***to, uint32_t *to_count, const char *field);
/* A count of rows to be put: 0 and failed when it is over LIMIT_ROWS_PER_MESSAGE. */
uint32_t put_row_count(struct coder *c, uint32_t count, const char *field);

ProtobufCBinaryData put_push(struct coder *c, const struct push_id *push);
void take_push(struct coder *c, ProtobufCBinaryData from, struct push_id *push);
ProtobufCBinaryData put_reason(struct coder *c, enum reason reason);
enum reason take_reason(struct coder *c, ProtobufCBinaryData from);
/* STAGE_COUNT travels as 0. */
Pusher__Stage put_stage(struct coder *c, enum stage stage);
enum stage take_stage(struct coder *c, Pusher__Stage from);

#endif
