/* GET /api/v1/history: what stored steps say of a window. Pure, but for past_ask. */
#ifndef SB_AGGREGATOR_PAST_H
#define SB_AGGREGATOR_PAST_H

#include "aggregator/expose/desk.h"
#include "aggregator/ingest/ingest.h"

/* The question of a request, its texts in the arena or borrowed from the request. ERR_MALFORMED with the sentence. */
int past_read(const struct desk_request *r, struct wall now, struct arena *a, struct history_ask *out,
              struct err *e);
/* {error, reason} into out; the HTTP status of a code. */
int past_fault(int code, const struct err *e, struct buf *out);

/* ---- past_io.c ---- */
/* Answers a desk's request for "history"; done is posted on `loop`. */
void past_ask(struct ingest *in, const struct desk_request *r, struct loop *loop, desk_done done,
              void *done_arg);

#endif
