/* Moves between regions on the decide thread: the shell around the core of failover (failover/failover.h). For each
 * [failover SERVICE] it feeds the core with votes, facts, what the authority and the actions answer and what operators
 * order, and carries out what the core orders. It decides nothing itself. */
#ifndef SB_AGGREGATOR_MOVES_H
#define SB_AGGREGATOR_MOVES_H

#include <cjson/cJSON.h>

#include "aggregator/failover/failover.h"
#include "common/config/config.h"

struct decide;
struct fo_settings;
struct moves;

/* Before the decide thread runs, after the control store was opened and before its first write. Without any [failover]
 * there is nothing to do: *out is NULL and 0 is returned. */
int moves_open(struct decide *d, const struct config *c, struct moves **out, struct err *e);
void moves_close(struct moves **m); /* on the decide thread, or when it has ended */
/* Services come, go and change. Refused (ERR_STATE) while a plan of a changed service is live; then nothing has changed. */
int moves_reload(struct moves *m, const struct config *c, struct err *e);
bool moves_can_reload(const struct moves *m, const struct config *c, struct err *e);

void moves_tick(struct moves *m, struct mono now);
void moves_noticed(struct moves *m); /* our clock or loop jumped */

/* Agents of that region: how many report, of how many that are known. */
void moves_agents(struct moves *m, const char *region, uint32_t up, uint32_t known);

/* ---- guards ---- */
/* One guard's question; the answer as JSON into out. 0, ERR_MALFORMED, ERR_NOTFOUND (no such service here). */
int moves_guard(struct moves *m, struct bytes body, const char *agent, struct buf *out, struct err *e);

/* ---- operators ---- */
/* done is called once, on the decide thread, when the order is committed or refused: code 0, or enum fo_reason; or
 * MOVES_UNKNOWN after half a minute in which nobody could say whether it was committed. ERR_NOTFOUND: no such service;
 * ERR_LIMIT: too many wait. `order.id` is set here. */
enum { MOVES_UNKNOWN = 65535 };
typedef void (*moves_done)(void *arg, uint16_t code, fo_reasons reasons, const char *holder);
int moves_order(struct moves *m, const char *service, struct fo_order *order, moves_done done, void *arg);

int moves_drill_run(struct moves *m, const char *name, const char *who, const char *why, struct err *e);
int moves_drill_abort(struct moves *m, const char *name, struct err *e);
cJSON *moves_drills_json(const struct moves *m, struct wall now);

/* ---- reading ---- */
uint32_t moves_count(const struct moves *m);
uint32_t moves_find(const struct moves *m, const char *service); /* UINT32_MAX: none */
struct fo_view { /* of one service, borrowed until the next turn of the loop */
    const struct fo *fo;
    const struct fo_config *config;
    const struct fo_names *names;
    const struct fo_settings *settings;
    const char *holder; /* voter and host of the leader, as last told; "" unknown */
};
void moves_view(const struct moves *m, uint32_t i, struct fo_view *out);
/* {"services":[…]}; service NULL: all. */
cJSON *moves_json(const struct moves *m, const char *service, struct wall wall, struct mono now);
/* What a move would be now: see moves_show.h. */
cJSON *moves_plan_json(const struct moves *m, uint32_t i, enum fo_kind kind, uint8_t to,
                       int64_t accept_loss_ms, struct wall wall, struct mono now);
void moves_metrics(const struct moves *m, struct sink *out);

#endif
