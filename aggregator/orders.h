/* What one step of the rooms that judge has ordered: what is to be stored, then what is to be sent. A value of its
 * own, since it waits for the store: nothing is sent that would be forgotten by a crash. Pure. */
#ifndef SB_AGGREGATOR_ORDERS_H
#define SB_AGGREGATOR_ORDERS_H

#include <string.h>

#include "aggregator/notify/channel.h"
#include "aggregator/store/control.h"
#include "common/base/arena.h"

struct order_send {
    uint64_t delivery;
    const char *receiver;
    const struct notification *n;
};

struct orders {
    struct arena arena; /* of all texts below */
    struct control_op *ops;
    size_t n_ops, room_ops;
    struct order_send *sends;
    size_t n_sends, room_sends;
    size_t lost; /* orders for which there was no memory */
};

void orders_init(struct orders *o, struct mem *mem);
void orders_free(struct orders *o);
bool orders_none(const struct orders *o);

/* All arguments are copied. value.p NULL: the key goes. `room` is a constant. */
void orders_record(struct orders *o, const char *room, struct bytes key, struct bytes value);
void orders_line(struct orders *o, const char *room, struct bytes key, struct wall t, struct bytes value);
void orders_send(struct orders *o, uint64_t delivery, const char *receiver, const struct notification *n);

static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

#endif
