/* Orders of one step: see orders.h. */
#include "aggregator/orders.h"

#include <string.h>

#include "aggregator/notify/told.h"

enum { ORDERS_MOST = 256 << 20 };

void orders_init(struct orders *o, struct mem *mem)
{
    *o = (struct orders){0};
    arena_init(&o->arena, mem, ORDERS_MOST);
}

void orders_free(struct orders *o)
{
    struct mem *mem = o->arena.mem;

    arena_free(&o->arena);
    orders_init(o, mem);
}

bool orders_none(const struct orders *o)
{
    return o->n_ops == 0 && o->n_sends == 0;
}

/* Room for one more of `size` bytes; false without memory. */
static bool grow(struct orders *o, void **v, size_t n, size_t *room, size_t size)
{
    size_t more = *room ? *room * 2 : 16;
    void *fresh;

    if (n < *room)
        return true;
    fresh = arena_array(&o->arena, more, size);
    if (!fresh)
        return false;
    if (n)
        memcpy(fresh, *v, n * size);
    *v = fresh;
    *room = more;
    return true;
}

/* p NULL only without memory. */
static struct bytes keep(struct orders *o, struct bytes b)
{
    return (struct bytes){(const uint8_t *)arena_text(&o->arena, b.n ? (const char *)b.p : "", b.n), b.n};
}

static void add(struct orders *o, struct control_op op)
{
    bool deletes = op.kind == CONTROL_DELETE;
    void *v = o->ops;

    op.key = keep(o, op.key);
    if (!deletes)
        op.value = keep(o, op.value);
    if (!op.key.p || (!deletes && !op.value.p) || !grow(o, &v, o->n_ops, &o->room_ops, sizeof op)) {
        o->lost++;
        return;
    }
    o->ops = v;
    o->ops[o->n_ops++] = op;
}

void orders_record(struct orders *o, const char *room, struct bytes key, struct bytes value)
{
    add(o, (struct control_op){
               .kind = value.p ? CONTROL_PUT : CONTROL_DELETE, .room = room, .key = key, .value = value});
}

void orders_line(struct orders *o, const char *room, struct bytes key, struct wall t, struct bytes value)
{
    add(o, (struct control_op){.kind = CONTROL_APPEND, .room = room, .key = key, .value = value, .t = t});
}

void orders_send(struct orders *o, uint64_t delivery, const char *receiver, const struct notification *n)
{
    struct order_send s = {.delivery = delivery,
                           .receiver = arena_text(&o->arena, receiver, strlen(receiver)),
                           .n = told_copy(&o->arena, n)};
    void *v = o->sends;

    if (!s.receiver || !s.n || !grow(o, &v, o->n_sends, &o->room_sends, sizeof s)) {
        o->lost++;
        return;
    }
    o->sends = v;
    o->sends[o->n_sends++] = s;
}
