/* See past.h: the request on the asker's loop, and its answer there. */
#include "aggregator/past.h"

enum { FAULT_MOST = 4096, ARENA_MOST = 1 << 20 };

struct past_request {
    struct loop *loop;
    desk_done done;
    void *arg;
    int code;
    struct err e;
};

static void end(struct past_request *p, int code, struct buf *json, const struct err *e)
{
    struct buf fault;
    int status = 200;

    buf_init(&fault, NULL, FAULT_MOST);
    if (code != 0)
        status = past_fault(code, e, &fault);
    p->done(p->arg, status, "application/json", buf_bytes(code ? &fault : json));
    buf_free(&fault);
    mem_free(NULL, p, sizeof *p);
}

static void answered(void *arg, int code, struct buf *json, const struct err *e)
{
    end(arg, code, json, e);
    if (code == 0)
        buf_free(json);
}

/* Refused at once, but answered in another turn: the asker may not expect it in this one. */
static void refuse(void *arg)
{
    struct past_request *p = arg;
    struct err e = p->e;

    end(p, p->code, NULL, &e);
}

void past_ask(struct ingest *in, const struct desk_request *r, struct loop *loop, desk_done done,
              void *done_arg)
{
    static const char none[] = "{\"error\":\"no memory\",\"reason\":\"unavailable\"}\n";
    struct past_request *p = mem_alloc(NULL, sizeof *p);
    struct history_ask q;
    struct arena arena;

    if (!p) {
        done(done_arg, 503, "application/json", (struct bytes){(const uint8_t *)none, sizeof none - 1});
        return;
    }
    *p = (struct past_request){.loop = loop, .done = done, .arg = done_arg};
    arena_init(&arena, NULL, ARENA_MOST);
    p->code = past_read(r, clock_wall(), &arena, &q, &p->e);
    if (p->code == 0)
        p->code = ingest_history(in, &q, loop, answered, p, &p->e);
    if (p->code != 0)
        loop_defer(loop, refuse, p);
    arena_free(&arena);
}
